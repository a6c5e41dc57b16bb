/** A text as one line: where it can't have more, as STATUS and the answers of a control socket. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\r\n\0]+/g, ' ');
}

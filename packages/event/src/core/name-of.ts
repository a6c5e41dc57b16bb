/** What a source is called, on one line: by its kind and, if it has one, its description. */
export function nameOf({
  kind,
  description,
}: {
  readonly kind: string;
  readonly description: string | undefined;
}): string {
  return printable(description === undefined ? kind : `${kind} '${description}'`);
}

/** A user's text without what a terminal or a file format takes for its own. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029\ufffe\uffff]/gu, '\ufffd');
}

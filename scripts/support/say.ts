/** What is going on now: the last line of a terminal, which each new line goes above. */
let status = '';

/** Progress goes to standard error: standard output belongs to the program that is set up. */
export function say(text: string): void {
  process.stderr.write(`${erased()}sdrx: ${text}\n${status}`);
}

/** What a program has to say, as it is. */
export function show(text: string): void {
  process.stderr.write(`${erased()}${text}${status}`);
}

/** Has the last line of a terminal say something else; empty: nothing. Elsewhere nothing is written. */
export function showStatus(text: string): void {
  if (!process.stderr.isTTY) return;
  const before = erased();
  // A line that is as long as the terminal is wide would become two.
  status = text === '' ? '' : `sdrx: ${text}`.slice(0, process.stderr.columns - 1);
  process.stderr.write(before + status);
}

/** Takes the last line away. */
function erased(): string {
  return status === '' ? '' : '\r\x1b[K';
}

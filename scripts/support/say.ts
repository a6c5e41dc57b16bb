/** Progress goes to standard error: standard output belongs to the program that is set up. */
export function say(text: string): void {
  process.stderr.write(`sdrx: ${text}\n`);
}

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What went wrong, worded for the person at the terminal: shown without a stack. */
export class UserError extends Error {}

/** Progress goes to standard error: standard output belongs to the program that is set up. @param {string} text */
export function say(text) {
  process.stderr.write(`sdrx: ${text}\n`);
}

/**
 * Runs a tool's main function if the file is the program that was started, not an import.
 * A rejection ends the process with code 1; a `UserError` is shown as its message alone.
 *
 * @param {ImportMeta} meta the file's `import.meta`
 * @param {() => unknown} body
 */
export async function main(meta, body) {
  if (realpathSync(process.argv[1] ?? '') !== fileURLToPath(meta.url)) return;
  try {
    await body();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}

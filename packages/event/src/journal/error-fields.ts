import { inspect } from 'node:util';
import { isSystemError } from '@sdrx/linux';
import type { JournalFields } from './journal-fields.js';

/** How many causes of an error are told. */
const MOST_CAUSES = 8;

/** What an error says of itself, in one line at best. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : textOf(error);
}

/** Where it came from, and its causes, each with where that one came from. */
export function errorStack(error: unknown): string {
  const texts: string[] = [];
  for (let cause = error; cause !== undefined && texts.length < MOST_CAUSES; cause = causeOf(cause)) {
    texts.push(cause instanceof Error ? String(cause.stack) : textOf(cause));
  }
  return texts.join('\ncaused by: ');
}

/**
 * What of an error is in fields of its own: ERRNO (positive, as in errno(3)), ERROR_NAME, ERROR_CODE, ERROR_SYSCALL, ERROR_PATH
 * and ERROR_STACK, with its causes.
 */
export function errorFields(error: unknown): JournalFields {
  if (!(error instanceof Error)) return { ERROR_STACK: textOf(error) };
  const { code } = error as { readonly code?: unknown };
  const { errno, syscall, path } = isSystemError(error) ? error : {};
  return {
    ERROR_NAME: error.name,
    ERROR_CODE: typeof code === 'string' || typeof code === 'number' ? code : undefined,
    ERRNO: typeof errno === 'number' ? Math.abs(errno) : undefined,
    ERROR_SYSCALL: syscall,
    ERROR_PATH: path,
    ERROR_STACK: errorStack(error),
  };
}

/** Of what is no error: String() refuses some values. */
function textOf(thrown: unknown): string {
  return typeof thrown === 'string' ? thrown : inspect(thrown);
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

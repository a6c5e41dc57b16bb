import { isSystemError } from '@sdrx/linux';

/** Of these the message says all: whoever runs the service is to do something, not who has written it. */
const TOLD_BY_MESSAGE = new Set([
  'ConflictError',
  'ControlError',
  'DeadlineError',
  'EndError',
  'EnvironmentError',
  'ListenAddressError',
  'PassedSocketsError',
  'PidFileError',
  'RestartError',
  'TakeOverError',
]);

/** Writes an error to standard error: in one line, or with its stack if it is one of the program's. */
export function reportError(error: unknown): void {
  if (!(error instanceof Error)) console.error(String(error));
  else if (saysAll(error) || saysAll(error.cause)) console.error(error.message);
  else console.error(error.stack ?? error.message);
}

function saysAll(error: unknown): boolean {
  return error instanceof Error && (TOLD_BY_MESSAGE.has(error.name) || isSystemError(error));
}

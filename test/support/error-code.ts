import { isSystemError } from '@sdrx/linux';

/** The code of the system call that fails within `body`, '' if none does. */
export function errorCode(body: () => unknown): string {
  try {
    body();
    return '';
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return String(error.code);
  }
}

import { checkInteger, checkText, wrongKind } from '../arguments.js';
import { errno as lastErrno, libc, libcIfPresent } from '../ffi/libc.js';
import { errorName } from './errno-names.js';

type Describe = (errno: number) => string;

/** In English; strerror(3), where there is nothing else, may be in the user's language. */
const describe =
  libcIfPresent<Describe>('const char *strerrordesc_np(int errnum)') ??
  libc<Describe>('const char *strerror(int errnum)');

/**
 * A system call that failed. It has the shape of the errors that Node's own modules throw, so that one handler serves
 * both: `code` is the name of errno(3), `errno` its number negated. Of two names for a number it is the one that the
 * C library has: EAGAIN, not EWOULDBLOCK, and EOPNOTSUPP, which is ENOTSUP in Node's.
 */
export class SystemError extends Error implements NodeJS.ErrnoException {
  override readonly name = 'SystemError';
  readonly code: string;
  readonly errno: number;

  /**
   * @param errno positive, as in errno(3)
   * @param syscall the call that failed
   * @param subject what it was done to: a path, an fd, an address
   * @param reason what it means here, where the C library's words for the number would mislead
   */
  constructor(
    errno: number,
    readonly syscall: string,
    readonly subject?: string,
    reason?: string,
  ) {
    checkInteger('errno', errno, 0, 0x7fff_ffff);
    checkText('syscall', syscall);
    if (subject !== undefined) checkText('subject', subject);
    if (reason !== undefined) checkText('reason', reason);
    const name = errorName(errno);
    const code = name ?? `E${errno}`;
    const what = subject === undefined ? syscall : `${syscall} '${subject}'`;
    const words = reason ?? (name === undefined ? 'unknown error' : describe(errno).toLowerCase());
    super(`${code}: ${words}, ${what}`);
    this.code = code;
    this.errno = -errno;
  }

  /** The error that the last call of the C library left in errno. */
  static last(syscall: string, subject?: string | number): SystemError {
    // First of all: the rest may make garbage.
    const error = lastErrno();
    if (typeof subject !== 'number') return new SystemError(error, syscall, subject);
    return new SystemError(error, syscall, String(subject));
  }
}

/** Whether `error` is a failed system call, of ours or of Node's, with one of the errno(3) names `codes` (any if none). */
export function isSystemError(error: unknown, ...codes: readonly string[]): error is NodeJS.ErrnoException {
  for (const code of codes) checkText('codes', code);
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  return codes.length === 0 || codes.includes(String(error.code));
}

/** Passes on what a call returned, or throws the SystemError that its −1 stands for. */
export function check(result: number, syscall: string, subject?: string | number): number {
  if (typeof result !== 'number') throw wrongKind('result', 'a number', result);
  if (result === -1) throw SystemError.last(syscall, subject);
  return result;
}

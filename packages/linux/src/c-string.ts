import { EINVAL } from './errno.js';
import { SystemError } from './system-error.js';

/**
 * `text`, for a call that takes a C string. C reads up to the first NUL, so one inside would silently name something
 * else. Throws EINVAL for it, on behalf of `syscall`.
 */
export function cString(text: string, syscall: string): string {
  if (text.includes('\0')) throw new SystemError(EINVAL, syscall, text.replaceAll('\0', '\\0'));
  return text;
}

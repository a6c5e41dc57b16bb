// Prints the code of the error that a timer on an alarm clock meets, or nothing.
import { isSystemError, TimerFd } from '@sdrx/linux';

try {
  new TimerFd('boottime-alarm')[Symbol.dispose]();
} catch (error) {
  if (!isSystemError(error)) throw error;
  process.stdout.write(String(error.code));
}

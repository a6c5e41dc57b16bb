// Queues real-time signals to itself until one is refused, and prints the error's code.
import { forwardToMainThread, isSystemError, SIGRTMIN, setBlocked, sigqueue } from '@sdrx/linux';

setBlocked(SIGRTMIN, true);
forwardToMainThread(SIGRTMIN);
try {
  for (let value = 0; value < 100_000; value++) sigqueue(process.pid, SIGRTMIN, value);
} catch (error) {
  if (!isSystemError(error)) throw error;
  process.stdout.write(String(error.code));
}

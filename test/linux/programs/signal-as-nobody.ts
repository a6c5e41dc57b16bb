// Becomes the user 65534 and queues a signal to its parent; prints the error's code.
import { isSystemError, sigqueue } from '@sdrx/linux';

process.setuid?.(65534);
try {
  sigqueue(process.ppid, 'SIGRTMIN', 0);
} catch (error) {
  if (!isSystemError(error)) throw error;
  process.stdout.write(String(error.code));
}

// Queues SIGRTMIN+18 with the values from FIRST to FIRST + COUNT − 1 to the process PID: arguments PID FIRST COUNT.
import { isSystemError, sigqueue } from '@sdrx/linux';

const [pid = 0, first = 0, count = 0] = process.argv.slice(2).map(Number);
for (let value = first; value < first + count; ) {
  try {
    sigqueue(pid, 'SIGRTMIN+18', value);
    value++;
  } catch (error) {
    // The receiver's queue is full: it will make room.
    if (!isSystemError(error, 'EAGAIN')) throw error;
  }
}

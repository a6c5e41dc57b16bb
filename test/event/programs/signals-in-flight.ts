// Subscribes to each real-time signal, and unsubscribes when such signals have just been sent. Exits with 0 if it lives.
import { EventLoop } from '@sdrx/event';
import { SIGRTMAX, SIGRTMIN, sigqueue } from '@sdrx/linux';

const loop = new EventLoop();
const finished = loop.run();
for (let signo = SIGRTMIN; signo <= SIGRTMAX; signo++) {
  for (let round = 0; round < 3; round++) {
    const subscription = loop.signal(signo).subscribe();
    for (let value = 0; value < 5; value++) sigqueue(process.pid, signo, value);
    // Once the loop takes some of them.
    if (round === 1) await new Promise((resolve) => setImmediate(resolve));
    subscription.unsubscribe();
  }
}
loop.exit();
process.exitCode = await finished;

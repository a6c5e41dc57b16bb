// Subscribes to signals, and unsubscribes when such have just been sent. Exits with 0 if it lives.
import { EventLoop } from '@sdrx/event';
import { SIGRTMAX, SIGRTMIN, signalNumber, sigqueue } from '@sdrx/linux';

const standard = ['SIGTERM', 'SIGINT', 'SIGUSR2', 'SIGALRM', 'SIGHUP', 'SIGIO', 'SIGPWR'] as const;
const realTime = Array.from({ length: SIGRTMAX - SIGRTMIN + 1 }, (_, index) => SIGRTMIN + index);

const loop = new EventLoop();
const finished = loop.run();
for (const signo of [...standard.map(signalNumber), ...realTime]) {
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

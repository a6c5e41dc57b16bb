// Signals that a process queues to itself.
import { printMachine } from '../support/table.js';
import { contest, printOutcomes } from './contest.js';

const aim = { sdEvent: 1 };

const floor = 'pthread_sigqueue, epoll_wait and read of a signalfd by koffi';

printMachine();
printOutcomes(
  await contest('signals', [
    { name: 'one at a time', work: 'signals', events: 50_000, aim, floor },
    { name: 'in bursts of 1,000', work: 'signals', events: 50_000, width: 1000, aim, inNode: false, floor },
  ]),
);
console.log(`SIGRTMIN+18 by sigqueue(3), one by the handler of the one before, or 1,000 when 1,000 have come. Node knows no real-time
signals, and standard ones are not queued: there it is SIGUSR2 by process.kill, one at a time.`);

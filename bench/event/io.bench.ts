// Descriptors that become readable.
import { printMachine } from '../support/table.js';
import { contest, printOutcomes } from './contest.js';

const floor = 'epoll_wait, eventfd_read and eventfd_write by koffi';

printMachine();
printOutcomes(
  await contest('io', [
    { name: 'eventfd, by its own handler', work: 'io', events: 100_000, aim: { sdEvent: 1 }, floor },
    { name: '1,000 eventfds at once', work: 'ready', events: 20_000, width: 1000, aim: { sdEvent: 2 }, floor },
  ]),
);
console.log(`An event is a handler that reads its eventfd, and one write. The 1,000 are all written when all have been read. Node
can't watch an eventfd: there it is one byte through a Unix socket, whose 'data' listener writes the next.`);

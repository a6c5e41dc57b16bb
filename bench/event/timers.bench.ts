// Timers in great numbers.
import { printMachine } from '../support/table.js';
import { contest, printOutcomes } from './contest.js';

const aim = { sdEvent: 5, node: 1 };

const floor = "RxJS's subscribe and unsubscribe";

printMachine();
printOutcomes(
  await contest('timers', [
    { name: '100,000 within 200 ms', work: 'elapse', events: 100_000, aim },
    { name: '100,000 set and cancelled', work: 'cancel', events: 100_000, aim, floor },
  ]),
);
console.log(`From before the first is set until the last has come, spread evenly over 200 ms and set in no order, accuracy 1 ms: more
than 500,000 per second is impossible, so the processor time says more. Cancelled: all are set in one iteration, for an
hour later, and taken back in the next. Node: setTimeout, clearTimeout.`);

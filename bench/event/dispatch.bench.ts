// What a dispatch costs that asks for nothing of the kernel.
import { printMachine } from '../support/table.js';
import { contest, printOutcomes } from './contest.js';

printMachine();
printOutcomes(
  await contest('dispatch', [
    { name: 'always-on defer', work: 'defer', events: 1_000_000, aim: { sdEvent: 3 } },
    { name: 'post after each of it', work: 'post', events: 400_000 },
  ]),
);
console.log(`Node: a setImmediate that sets the next one; with process.nextTick after it. The post source has the higher priority: at
the same one sd-event never runs it.`);

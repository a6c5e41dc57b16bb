// Child processes, from spawn to exit.
import { printMachine } from '../support/table.js';
import { contest, printOutcomes } from './contest.js';

const aim = { sdEvent: 1, node: 3 };

const floor = 'posix_spawn, pidfd_open, epoll_ctl, epoll_wait, waitid, close by koffi';

printMachine();
printOutcomes(
  await contest('children', [
    { name: 'one at a time', work: 'children', events: 400, aim, floor },
    { name: '32 at a time', work: 'children', events: 400, width: 32, aim, floor },
  ]),
);
console.log(`/bin/true with our own standard streams; whose handler has seen it exit with 0 spawns the next. sd-event: posix_spawn(3)
and sd_event_add_child(3). Node: child_process.spawn and its 'exit'.`);

// Passes a descriptor on whose number is beyond the limit by now; prints what the child finds, and the children that are left.
import { duplicate, openFile, spawn } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { runProgram } from '../../support/run-program.js';
import { waitForExit } from '../../support/wait-for-exit.js';

using zero = openFile('/dev/zero');
using high = duplicate(zero.number, 500);
runProgram('prlimit', ['--nofile=300', '--pid', String(process.pid)]);
const child = spawn('sh', { args: ['-c', '[ "$(readlink /proc/self/fd/3)" = /dev/zero ]'], fds: [null, 1, 2, high] });
const { status } = waitForExit(child);
process.stdout.write(JSON.stringify({ status, children: children() }));

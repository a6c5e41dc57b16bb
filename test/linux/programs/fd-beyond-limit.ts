// Passes a descriptor on whose number is beyond the limit by now; prints the error's code and the children that are left.
import { duplicate, spawn } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { errorCode } from '../../support/error-code.js';
import { runProgram } from '../../support/run-program.js';

const fd = duplicate(2, 500);
runProgram('prlimit', ['--nofile=300', '--pid', String(process.pid)]);
const code = errorCode(() => spawn('sleep', { args: ['1000'], fds: [null, 1, 2, fd] }));
process.stdout.write(JSON.stringify({ code, children: children() }));

// Becomes a user with few processes and starts one more; prints the error's code.
import { spawn } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';
import { runProgram } from '../../support/run-program.js';

runProgram('prlimit', ['--nproc=1', '--pid', String(process.pid)]);
process.setuid?.(54321);
process.stdout.write(errorCode(() => spawn('true')));

// Prints the status of a child, proc_pid_status(5).
import { readFileSync } from 'node:fs';
import { spawn } from '@sdrx/linux';
import { waitForExit } from '../../support/wait-for-exit.js';

const child = spawn('sleep', { args: ['1000'] });
process.stdout.write(readFileSync(`/proc/${child.pid}/status`, 'ascii'));
child.kill();
waitForExit(child);

// Makes the code that a new process of arm64 runs, wherever this runs, and prints it as hex. It is called only on arm64; elsewhere the
// process that is started ends by a signal.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { spawn } from '@sdrx/linux';
import { waitForExit } from '../../support/wait-for-exit.js';

Object.defineProperty(process, 'arch', { value: 'arm64' });
waitForExit(spawn('true'));
const [, begin = ''] = /^(\w+)-\w+ r-xp .*memfd:sdrx-spawn/m.exec(readFileSync('/proc/self/maps', 'utf8')) ?? [];
const code = Buffer.alloc(41 * 4);
const memory = openSync('/proc/self/mem', 'r');
readSync(memory, code, 0, code.length, BigInt(`0x${begin}`));
closeSync(memory);
process.stdout.write(code.toString('hex'));

// Starts a program where the kernel says that it has no close_range(2); prints the descriptors that the child has.
import { readdirSync, readFileSync } from 'node:fs';
import { addressOf, allocate, duplicate, libc, setCloseOnExec, spawn } from '@sdrx/linux';
import { waitForExit } from '../../support/wait-for-exit.js';

const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;
const CLOSE_RANGE = 436;
const ENOSYS = 38;

const prctl = libc<(option: number, a: number | bigint, b: number | bigint, c: number, d: number) => number>(
  'int prctl(int, intptr_t, intptr_t, long, long)',
);

// seccomp_data begins with the call's number. struct sock_filter: code, jt, jf, k
const instructions = [
  [0x20, 0, 0, 0], // load it
  [0x15, 0, 1, CLOSE_RANGE], // unless it is this one, leave out the next
  [0x06, 0, 0, 0x0005_0000 | ENOSYS], // SECCOMP_RET_ERRNO
  [0x06, 0, 0, 0x7fff_0000], // SECCOMP_RET_ALLOW
] as const;
const filter = allocate(8 * instructions.length);
instructions.forEach(([code, jt, jf, k], index) => {
  filter.writeUInt16LE(code, 8 * index);
  filter.writeUInt8(jt, 8 * index + 2);
  filter.writeUInt8(jf, 8 * index + 3);
  filter.writeUInt32LE(k, 8 * index + 4);
});
const program = allocate(16);
program.writeUInt16LE(instructions.length, 0);
program.writeBigUInt64LE(addressOf(filter), 8);
if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error('no PR_SET_NO_NEW_PRIVS');
if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, addressOf(program), 0, 0) !== 0) throw new Error('no filter');

const [first, second] = [duplicate(0, 20), duplicate(0, 30)];
for (const fd of [first, second]) setCloseOnExec(fd.number, false);
const child = spawn('sleep', { args: ['1000'], fds: [null, null], listenFds: [{ name: 'one', fd: first }] });
while (!readFileSync(`/proc/${child.pid}/wchan`, 'ascii').includes('nanosleep'));
process.stdout.write(JSON.stringify(readdirSync(`/proc/${child.pid}/fd`).map(Number)));
child.kill();
waitForExit(child);

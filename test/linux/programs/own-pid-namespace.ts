// Starts programs in another PID namespace than ours, where they have other ids and their parent has none; prints the error of one that
// is to get a signal when its parent dies, and the status of one that looks at its id.
import { isSystemError, libc, spawn } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { waitForExit } from '../../support/wait-for-exit.js';

const CLONE_NEWPID = 0x2000_0000;

libc<(flags: number) => number>('int unshare(int)')(CLONE_NEWPID);
// The namespace goes with the first process in it.
const first = spawn('sleep', { args: ['1000'] });
let failed = '';
try {
  spawn('true', { parentDeathSignal: 'SIGTERM' });
} catch (error) {
  if (isSystemError(error)) failed = `${error.code} ${error.syscall}`;
}
const script = '[ $$ -lt 10 ] && [ "$LISTEN_PID" = $$ ]';
const { status } = waitForExit(spawn('sh', { args: ['-c', script], listenFds: { stdin: 0 } }));
first.kill('SIGKILL');
waitForExit(first);
process.stdout.write(JSON.stringify({ failed, status, children: children() }));

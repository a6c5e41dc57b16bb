// Starts programs, one after the other, while its process group, theirs as well, gets signals from another process. Prints how many
// signals came, and what became of the programs. Arguments: how many programs at least, how many signals.
import { type ChildChange, SIGRTMIN, type SpawnOptions, spawn, WEXITED, WNOHANG, waitPidfd } from '@sdrx/linux';
import { children } from '../../support/children.js';
import { openFds } from '../../support/nothing-left.js';
import { programPath } from '../../support/program-path.js';
import { ReceivedSignals } from '../../support/received-signals.js';
import { waitForExit } from '../../support/wait-for-exit.js';

const SIGNAL = SIGRTMIN + 11;

const [programs = 0, count = 0] = process.argv.slice(2).map(Number);
const before = openFds();
const ends: Record<string, number> = {};
let received = 0;
{
  using signals = new ReceivedSignals(SIGNAL);
  const read = () => {
    for (let batch = signals.read(); batch.length > 0; batch = signals.read()) received += batch.length;
  };
  const sender = spawn(process.execPath, {
    args: [programPath('./signal-group.js', import.meta.url), String(process.pid), String(SIGNAL), String(count)],
    group: 'process-group',
  });
  // Another user's process begins with a copy of our memory, others with the memory itself.
  const { getuid: uid = () => 0, getgid: gid = () => 0 } = process;
  const own: SpawnOptions = uid() === 0 ? { user: { uid: uid(), gid: gid() } } : {};
  let exit: ChildChange | undefined;
  for (let index = 0; index < programs || exit === undefined; index++) {
    const { code, status } = waitForExit(spawn('/bin/true', index % 10 === 0 ? own : {}));
    const end = `${code} ${code === 'killed' && status === SIGNAL ? 'by it' : status}`;
    ends[end] = (ends[end] ?? 0) + 1;
    read();
    exit ??= waitPidfd(sender.pidfd.number, WEXITED | WNOHANG);
  }
  sender[Symbol.dispose]();
  if (exit.status !== 0) throw new Error(`the sender exited with ${exit.status}`);
  read();
}
const left = { children: children(), fds: openFds().length - before.length };
process.stdout.write(JSON.stringify({ received, ends, left }));

import { existsSync, readFileSync } from 'node:fs';
import { EarlyWorker } from '@sdrx/daemon';
import {
  bind,
  listen,
  sendMessage,
  setNonBlocking,
  socketPair,
  unixSocket,
  WEXITED,
  WNOWAIT,
  waitPid,
} from '@sdrx/linux';
import t from 'tap';
import { ask } from '../support/allocation.js';
import { children } from '../support/children.js';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { InstalledDaemon } from '../support/installed-daemon.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { isEarlyWorker, workersOf } from '../support/workers.js';

const script = programPath('../../../packages/daemon/bin/nsresourcework', import.meta.url);
const command = [process.execPath, '--v8-pool-size=1', script];

function begun(): EarlyWorker {
  const early = EarlyWorker.begin(script);
  if (early === undefined) throw new Error('no worker was begun');
  return early;
}

t.test('one of the first workers was begun with the manager, and is like the others', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  const [first = 0, ...more] = workers.filter(isEarlyWorker);
  t.ok(first > 0);
  t.strictSame(more, []);
  const others = workers.filter((pid) => pid !== first);
  const named = (pid: number) => [...processFds(pid)].filter(([fd]) => fd <= 3);
  await until(() => others.every((pid) => named(pid).length === 4));
  for (const other of others) t.strictSame(named(first), named(other));
  for (const other of others) process.kill(other, 'SIGSTOP');
  // It alone can answer now.
  t.match(await ask(daemon, 'User', { uid: 1 }), { error: 'io.systemd.UserDatabase.NoRecordFound' });
  for (const other of others) process.kill(other, 'SIGCONT');
  process.kill(first, 'SIGKILL');
  await until(() => {
    const now = daemon.children();
    return now.length === 5 && !now.includes(first);
  });
});

t.test(
  'a worker that was begun does what it is told, once',
  leavingNothing(async (t) => {
    using folder = new Folder();
    using socket = unixSocket();
    bind(socket.number, folder.join('socket'));
    listen(socket.number);
    using early = begun();
    const options = [`--runtime-directory=${folder.path}`, '--userns-restrict=off'];
    // More than is received at a time.
    const env = { PATH: process.env.PATH, LISTEN_FDS: '1', NSRESOURCE_API: '0', LONG: 'ü'.repeat(20_000) };
    const worker = early.start([...command, ...options], socket.number, env);
    if (worker === undefined) throw new Error('it was not started');
    try {
      const reply = await ask({ socketPath: folder.join('socket') }, 'User', { uid: 1 });
      t.match(reply, { error: 'io.systemd.UserDatabase.NoRecordFound' });
      t.match(readFileSync(`/proc/${worker.pid}/status`, 'ascii'), /^Umask:\s+0022$/m);
      t.equal(early.start([...command, ...options], socket.number, env), undefined);
    } finally {
      worker.kill('SIGTERM');
      waitForExit(worker);
    }
  }),
);

t.test(
  'it does not take the place of another program',
  leavingNothing((t) => {
    using socket = unixSocket();
    const early = begun();
    t.equal(early.start(['sleep', '1000'], socket.number, {}), undefined);
    early[Symbol.dispose]();
    t.strictSame(children(), [], 'it ends when it is wanted no more');
    t.equal(early.start(command, socket.number, {}), undefined);
  }),
);

t.test(
  'if it has ended, another one is to be started',
  leavingNothing((t) => {
    using socket = unixSocket();
    using early = begun();
    const [pid = 0] = children();
    process.kill(pid, 'SIGKILL');
    waitPid(pid, WEXITED | WNOWAIT);
    t.equal(early.start(command, socket.number, {}), undefined);
    t.strictSame(children(), [], 'it is reaped');
  }),
);

t.test(
  'orders that are none end it',
  leavingNothing((t) => {
    for (const orders of ['{}\0', '{"args":[],"env":{"PATH":1}}\0', '{"args":[],"env":{}}\0', 'no JSON\0']) {
      const [ours, theirs] = socketPair();
      using inherited = theirs;
      setNonBlocking(inherited.number, false);
      sendMessage(ours.number, Buffer.from(orders));
      const { exit } = runProgram(process.execPath, [script, '--orders'], { fds: [null, null, null, null, inherited] });
      ours.close();
      t.match(exit, { code: 'exited', status: 1 }, orders);
    }
    const { exit } = runProgram(process.execPath, [script, '--orders'], { fds: [null, null, null] });
    t.match(exit, { code: 'exited', status: 1 }, 'without a manager');
  }),
);

t.test('none is begun where it is not needed', (t) => {
  using daemon = new InstalledDaemon();
  using folder = new Folder();
  const note = folder.join('note');
  daemon.replace('nsresourcework', `require('node:fs').writeFileSync(${JSON.stringify(note)}, '')`);
  const run = (...args: string[]) => runProgram(process.execPath, [daemon.path, ...args]).exit;
  const runtime = `--runtime-directory=${folder.join('none')}/none`;
  for (const args of [
    ['--help'],
    ['-h'],
    ['--version'],
    ['--worker=/bin/false', runtime],
    ['--worker', 'no', runtime],
  ]) {
    run(...args);
    t.equal(existsSync(note), false, args.join(' '));
  }
  t.end();
});

import { mkdirSync, openSync, readFileSync } from 'node:fs';
import {
  bind,
  type ChildProcess,
  Fd,
  O_NONBLOCK,
  pipe,
  read,
  SIGRTMIN,
  SOCK_DGRAM,
  setNonBlocking,
  sigqueue,
  socketPair,
  spawn,
  statusFlags,
  unixSocket,
  write,
} from '@sdrx/linux';
import t, { type Test } from 'tap';
import { nsresourced } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { readable } from '../support/readable.js';
import { runProgram } from '../support/run-program.js';
import { ServiceManager } from '../support/service-manager.js';
import { varlinkCall } from '../support/varlink-call.js';
import { waitForExit } from '../support/wait-for-exit.js';

const writer = programPath('log-writer.js', import.meta.url);
const INFO = 'org.varlink.service.GetInfo';

/** More than a pipe or a socket takes: 2000 lines of 200 characters. */
const MUCH = ['2000', 'x'.repeat(200)] as const;

interface Writer {
  readonly child: ChildProcess;
  /** Its standard input and output. */
  readonly input: Fd;
  readonly output: Fd;
}

/** Starts the program that logs, with a standard error of the test's. */
function startWriter(t: Test, stderr: Fd | number, args: readonly string[], env: NodeJS.ProcessEnv = {}): Writer {
  const [theirInput, input] = pipe();
  const [output, theirOutput] = pipe();
  setNonBlocking(theirInput.number, false);
  setNonBlocking(theirOutput.number, false);
  const child = spawn(process.execPath, {
    args: [writer, ...args],
    env: { ...process.env, ...env },
    fds: [theirInput, theirOutput, stderr],
  });
  theirInput.close();
  theirOutput.close();
  t.teardown(() => {
    if (child.pidfd.number !== -1) child.kill('SIGKILL');
    for (const fd of [input, output]) fd.close();
  });
  return { child, input, output };
}

/** Waits until the program has logged all, which shows that it did not wait for a reader. */
async function done({ output }: Writer): Promise<void> {
  await readable(output.number);
  read(output.number, Buffer.alloc(10));
}

/** All that is there to be read. */
function drain(fd: Fd): string {
  setNonBlocking(fd.number);
  const buffer = Buffer.alloc(65536);
  let text = '';
  for (let count = read(fd.number, buffer); count !== undefined && count > 0; count = read(fd.number, buffer)) {
    text += buffer.toString('utf8', 0, count);
  }
  return text;
}

/** A pipe whose writing end waits, as programs are given one. @returns our end, which is read, and theirs */
function blockingPipe(): [Fd, Fd] {
  const [ours, theirs] = pipe();
  setNonBlocking(theirs.number, false);
  return [ours, theirs];
}

/** The same as a socket. */
function blockingSockets(): [Fd, Fd] {
  const [ours, theirs] = socketPair();
  setNonBlocking(theirs.number, false);
  return [ours, theirs];
}

const STALLED = { pipe: blockingPipe, socket: blockingSockets } as const;

for (const [kind, make] of Object.entries(STALLED)) {
  t.test(`a ${kind} that nobody reads holds nobody up, and what was lost is said later`, async (t) => {
    const [ours, theirs] = make();
    const program = startWriter(t, theirs, MUCH, { AGAIN: '1' });
    await done(program);
    t.equal(statusFlags(theirs.number) & O_NONBLOCK, 0, 'its flags, which others share, are as they were');
    theirs.close();
    const first = drain(ours).split('\n');
    t.ok(first.length > 10 && first.length < 2000);
    t.ok(
      first.slice(0, -1).every((line) => /^writer\[\d+\]: \w+ x{200}$/.test(line)),
      'only whole lines',
    );
    write(program.input.number, Buffer.from('\n'));
    waitForExit(program.child);
    const [notice = '', last] = drain(ours).split('\n');
    t.equal(Number(/^(\d+) lines could not be written$/.exec(notice)?.[1]), 2000 - (first.length - 1));
    t.match(last, /^writer\[\d+\]: after all$/);
    ours.close();
  });
}

const GONE: Readonly<Record<string, (t: Test) => Fd>> = {
  'a pipe whose reader is gone': () => {
    const [ours, theirs] = pipe();
    ours.close();
    return theirs;
  },
  'a socket whose other end is gone': () => {
    const [ours, theirs] = socketPair();
    ours.close();
    return theirs;
  },
  'a full disk': () => new Fd(openSync('/dev/full', 'w')),
};

for (const [what, make] of Object.entries(GONE)) {
  t.test(`${what} as its standard error ends nobody`, async (t) => {
    const stderr = make(t);
    const { child } = startWriter(t, stderr, MUCH);
    stderr.close();
    t.match(waitForExit(child), { code: 'exited', status: 0 });
  });
}

t.test('so does none at all', async (t) => {
  const child = spawn('sh', {
    args: ['-c', `exec "$@" 2>&-`, 'sh', process.execPath, writer, ...MUCH],
    fds: [null, null, null],
  });
  t.match(waitForExit(child), { code: 'exited', status: 0 });
});

t.test('a full disk takes lines again when there is room', needsRoot, async (t) => {
  using folder = new Folder();
  const mount = (...args: readonly string[]) => t.match(runProgram('mount', args).exit, { status: 0 });
  mount('-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder.path);
  using _mounted = { [Symbol.dispose]: () => runProgram('umount', ['--lazy', folder.path]) };
  using log = new Fd(openSync(folder.join('log'), 'a'));
  const program = startWriter(t, log, MUCH, { AGAIN: '1' });
  await done(program);
  mount('-o', 'remount,size=1m', folder.path);
  write(program.input.number, Buffer.from('\n'));
  waitForExit(program.child);
  const lines = readFileSync(folder.join('log'), 'utf8').split('\n');
  const written = lines.filter((line) => /^writer\[\d+\]: \w+ x{200}$/.test(line)).length;
  t.ok(written > 10 && written < 2000);
  t.equal(lines.at(-3), `${2000 - written} lines could not be written`);
  t.match(lines.at(-2), /^writer\[\d+\]: after all$/);
});

t.test('a journal that does not read holds nobody up', needsRoot, async (t) => {
  using folder = new Folder();
  mkdirSync(folder.join('systemd/journal'), { recursive: true });
  using journal = unixSocket(SOCK_DGRAM);
  bind(journal.number, folder.join('systemd/journal/socket'));
  const [ours, theirs] = blockingPipe();
  // A /run of its own, in which the journal is ours.
  const script = `mount --bind '${folder.path}' /run && exec "$@"`;
  const child = spawn('unshare', {
    args: ['--mount', 'sh', '-c', script, 'sh', process.execPath, writer, ...MUCH],
    env: { ...process.env, TARGET: 'journal' },
    fds: [null, null, theirs],
  });
  theirs.close();
  t.match(waitForExit(child), { code: 'exited', status: 0 });
  t.match(drain(ours), /^writer\[\d+\]: \w+ x+ \(not to the journal: EAGAIN/m, 'the rest goes to the standard error');
  ours.close();
});

t.test('many messages of one kind are suppressed, and a line says how many', async (t) => {
  const [ours, theirs] = pipe();
  const child = spawn(process.execPath, {
    args: ['--input-type=module', '--eval', SUPPRESSED],
    fds: [null, null, theirs],
  });
  theirs.close();
  waitForExit(child);
  const lines = drain(ours).split('\n');
  t.equal(lines.filter((line) => /user 1000 was refused '\d+'/.test(line)).length, 201);
  t.match(lines.at(-3), /: 41800 more messages of this kind were suppressed within 30 s: user 1000 was refused '200'$/);
  ours.close();
});

/** Logs 42,000 messages of a kind, then lets 30 seconds pass on the clock that is asked. */
const SUPPRESSED = `
const { now } = performance;
let ahead = 0;
performance.now = () => now.call(performance) + ahead;
// Takes the clock that it finds.
const { Log } = await import('${import.meta.resolve('@sdrx/daemon')}');
const log = new Log('writer');
for (let count = 0; count < 42_000; count++) log.warning("user 1000 was refused '" + count + "'");
ahead = 31_000;
log.debug('not logged');
log.warning('another one');
`;

/** One that is full from the beginning, and whose reader is there but does not read. */
function stalledPipe(t: Test): Fd {
  const [ours, theirs] = pipe();
  t.teardown(() => ours.close());
  while (write(theirs.number, Buffer.alloc(4096)) !== undefined);
  setNonBlocking(theirs.number, false);
  return theirs;
}

for (const [what, make] of [...Object.entries(GONE), ['a pipe that nobody reads', stalledPipe] as const]) {
  t.test(`the daemon serves with ${what} as its standard error, and obeys`, needsRoot, async (t) => {
    using folder = new Folder();
    const manager = new ServiceManager(t);
    const stderr = make(t);
    const daemon = spawn(process.execPath, {
      args: [nsresourced, `--runtime-directory=${folder.path}`, '--userns-restrict=off'],
      env: { PATH: process.env.PATH, NOTIFY_SOCKET: manager.notifySocket, SYSTEMD_LOG_LEVEL: 'debug' },
      fds: [null, null, stderr],
    });
    stderr.close();
    t.teardown(() => daemon.pidfd.number !== -1 && daemon.kill('SIGKILL'));
    await manager.waitFor(/READY=1/);
    const path = folder.join('io.systemd.NamespaceResource');
    t.equal((await varlinkCall(path, INFO)).error, undefined);
    // More than a pipe takes, each with a line of the log.
    for (let count = 0; count < 2000; count++) sigqueue(daemon.pid, SIGRTMIN + 18, 0x301);
    t.equal((await varlinkCall(path, INFO)).error, undefined);
    daemon.kill('SIGTERM');
    t.match(waitForExit(daemon), { code: 'exited', status: 0 });
  });
}

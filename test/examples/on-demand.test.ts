import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { connect, type Fd, read, SOCK_DGRAM, socketPair, unixSocket, write } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { needsDebianTree } from '../support/debian-tree.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { passedSocket } from '../support/passed-socket.js';
import { processFds } from '../support/process-fds.js';
import { programPath } from '../support/program-path.js';
import { readable } from '../support/readable.js';
import { ServiceManager } from '../support/service-manager.js';
import { untilOr } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';
import { failedStart } from './failed-start.js';
import { RunningExample } from './running-example.js';

const PROGRAM = programPath('../../../examples/dist/on-demand.js', import.meta.url);
const FOLDER = programPath('../../../examples/on-demand', import.meta.url);
const NOW = 'org.example.clock.Now';
const WATCH = 'org.example.clock.Watch';
/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

const systemd = (program: string) =>
  spawnSync(program, ['--version']).status === 0 ? {} : { skip: `there is no ${program}` };

/** An environment in which the shell finds the Node that runs this. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
}

/** The example by hand, at a socket in a folder of its own. */
async function byHand(t: Test, args: readonly string[] = [], variables: NodeJS.ProcessEnv = {}) {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const path = folder.join('socket');
  const example = new RunningExample(t, 'on-demand', {
    args: [`--listen=unix:${path}`, ...args],
    environment: variables,
  });
  await example.prints(`listening at unix:${path}`);
  return { path, example };
}

/** The example with sockets passed. */
function activated(t: Test, socket: Fd, args: readonly string[] = []) {
  const manager = new ServiceManager(t);
  const example = new RunningExample(t, 'on-demand', {
    args,
    environment: { NOTIFY_SOCKET: manager.notifySocket, LISTEN_FDNAMES: 'connection' },
    listener: socket.number,
  });
  return { manager, example };
}

async function tellsTheTime(t: Test, path: string): Promise<void> {
  t.match(await varlinkCall(path, NOW, { zone: 'Asia/Kolkata' }), { parameters: { time: /^\d{4}-.*T.*\+05:30$/ } });
}

/** How many timers of a process are set. timerfd_create(2) */
function setTimers(pid: number): number {
  const timers = [...processFds(pid)].filter(([, target]) => target === 'anon_inode:[timerfd]');
  return timers.filter(([fd]) => !/^it_value: \(0, 0\)$/m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'ascii')))
    .length;
}

/** What a service tells that has ended: each thing once. */
async function toldToStopOnce(t: Test, manager: ServiceManager): Promise<void> {
  await manager.waitFor(/^STOPPING=1$/);
  t.same(manager.notifications, ['READY=1', 'STOPPING=1']);
}

/** Sends a call at the end of a connection. */
function send(socket: Fd, method: string, parameters: object = {}, more = false): void {
  write(socket.number, Buffer.from(`${JSON.stringify({ method, parameters, more })}\0`));
}

async function receive(socket: Fd): Promise<string> {
  const buffer = Buffer.alloc(65536);
  await readable(socket.number);
  return buffer.toString('utf8', 0, read(socket.number, buffer) ?? 0);
}

t.test('by hand it serves at its path, which goes at the end', async (t) => {
  const { path, example } = await byHand(t);
  await tellsTheTime(t, path);
  t.match(await varlinkCall(path, NOW), { parameters: { time: /\+00:00$/, seconds: Number } });
  t.match(await varlinkCall(path, NOW, { zone: 'Mars/Base' }), { error: 'org.example.clock.UnknownZone' });
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.notOk(existsSync(path));
});

t.test('without --listen, its path is in the runtime directory', async (t) => {
  using folder = new Folder();
  const example = new RunningExample(t, 'on-demand', { environment: { XDG_RUNTIME_DIR: folder.path } });
  await example.prints(`listening at unix:${folder.join('on-demand.sock')}`);
  await tellsTheTime(t, folder.join('on-demand.sock'));
  example.kill('SIGINT');
  t.equal(await example.ended(), 0);
  t.same(readdirSync(folder.path), []);
});

t.test('it leaves when it is idle if it is activated, or told', async (t) => {
  const own = await byHand(t);
  await tellsTheTime(t, own.path);
  t.equal(setTimers(own.example.pid), 0, 'by hand it waits for nothing');
  const { fd, path } = passedSocket(t);
  const { example, manager } = activated(t, fd);
  await manager.waitFor(/^READY=1$/);
  await untilOr(
    LIMIT,
    () => setTimers(example.pid) === 1,
    () => 'activated, it waits for no time',
  );
  await tellsTheTime(t, path);
  const told = await byHand(t, ['--idle=0.1']);
  t.equal(await told.example.ended(), 0);
  t.notOk(existsSync(told.path));
  for (const { example: each } of [own, { example }]) {
    each.kill('SIGTERM');
    t.equal(await each.ended(), 0);
  }
});

t.test('it stays while a client is there, then leaves, and the next process has who comes meanwhile', async (t) => {
  const { fd, path } = passedSocket(t);
  const { example, manager } = activated(t, fd, ['--idle=0']);
  using client = unixSocket();
  connect(client.number, path);
  send(client, NOW);
  t.match(await receive(client), /"time"/);
  await untilOr(
    LIMIT,
    () => setTimers(example.pid) === 0,
    () => 'it waits to leave, though a client is there',
  );
  client.close();
  t.equal(await example.ended(), 0);
  await toldToStopOnce(t, manager);
  t.ok(statSync(path).isSocket(), 'the path of a passed socket stays');
  const answer = tellsTheTime(t, path);
  const next = activated(t, fd);
  await answer;
  next.example.kill('SIGTERM');
  t.equal(await next.example.ended(), 0);
});

t.test('whoever asks at the moment it leaves is answered', async (t) => {
  const { fd, path } = passedSocket(t);
  const codes: unknown[] = [];
  let asked = 0;
  const asking = (async () => {
    for (; codes.length < 2; asked++) await varlinkCall(path, NOW);
  })();
  while (codes.length < 2) codes.push(await activated(t, fd, ['--idle=0']).example.ended());
  const { example } = activated(t, fd);
  await asking;
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.same(codes, [0, 0]);
  t.ok(asked > 10, `${asked} asked`);
});

t.test('a second signal does not wait for clients that have not finished; STOPPING is told once', async (t) => {
  const { fd, path } = passedSocket(t);
  const { example, manager } = activated(t, fd);
  using client = unixSocket();
  connect(client.number, path);
  send(client, WATCH, {}, true);
  t.match(await receive(client), /"tick":0/);
  example.kill('SIGTERM');
  await manager.waitFor(/^STOPPING=1$/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  await toldToStopOnce(t, manager);
});

t.test('a connected socket is served, and ends it when it ends', async (t) => {
  const [ours, theirs] = socketPair();
  const { example, manager } = activated(t, theirs);
  theirs.close();
  send(ours, NOW);
  t.match(await receive(ours), /"time"/);
  await manager.waitFor(/^READY=1$/);
  send(ours, NOW, { zone: 'UTC' });
  t.match(await receive(ours), /"time"/);
  ours.close();
  t.equal(await example.ended(), 0);
  await toldToStopOnce(t, manager);
});

for (const [when, leave] of [
  ['before it is served', () => {}],
  ['without reading', (socket: Fd) => send(socket, NOW)],
  ['in the middle of a message', (socket: Fd) => void write(socket.number, Buffer.from('{"method":"org.exa'))],
  ['while it watches', (socket: Fd) => send(socket, WATCH, { seconds: true }, true)],
] as const) {
  t.test(`a client that goes ${when} ends it in order`, async (t) => {
    const [ours, theirs] = socketPair();
    leave(ours);
    if (when === 'before it is served') ours.close();
    const { example } = activated(t, theirs);
    theirs.close();
    if (when === 'while it watches') t.match(await receive(ours), /"tick":0/);
    ours.close();
    t.equal(await example.ended(), 0);
  });
}

t.test('a connection is drained at a signal', async (t) => {
  const [ours, theirs] = socketPair();
  const { example, manager } = activated(t, theirs);
  theirs.close();
  await manager.waitFor(/^READY=1$/);
  example.kill('SIGTERM');
  t.equal(await receive(ours), '', 'the end of the connection');
  t.equal(await example.ended(), 0);
  ours.close();
});

t.test(
  'what it is started with wrongly ends it with one line that says so, and status 1',
  leavingNothing((t) => {
    using folder = new Folder();
    using datagram = unixSocket(SOCK_DGRAM);
    using unconnected = unixSocket();
    const [ours, theirs] = socketPair();
    const file = folder.join('file');
    writeFileSync(file, 'content');
    const one = { LISTEN_FDS: '1' };
    const cases: [RegExp, readonly string[], NodeJS.ProcessEnv?, Fd[]?][] = [
      [/'--port'/, ['--port=1']],
      [/'unix:x' is no address/, ['--listen=unix:x']],
      [/--listen=tcp:\*:1 must be unix:PATH/, ['--listen=tcp:*:1']],
      [/EADDRINUSE/, [`--listen=unix:${file}`]],
      ...['soon', ''].map((text): [RegExp, string[]] => [
        new RegExp(`--idle=${text} must be a number of seconds`),
        [`--idle=${text}`, '--listen=unix:@x'],
      ]),
      [/^on-demand: --listen can't be given to a service that is activated/, ['--listen=unix:@x'], one, [ours]],
      [/no socket 'clock' was passed: .*'unknown', 'unknown'/, [], { LISTEN_FDS: '2' }, [ours, theirs]],
      [/must be a listening stream socket, or a connected one, it is a datagram socket/, [], one, [datagram]],
      [/must be a listening stream socket, or a connected one, it is a stream socket/, [], one, [unconnected]],
      [/LISTEN_FDS must be .*'many'/, [], { LISTEN_FDS: 'many' }],
      [/LISTEN_FDS must be .* \(\d+ is none\)/, [], { LISTEN_FDS: '500' }, [ours]],
      [/LISTEN_PID must be .*'me'/, [], { ...one, LISTEN_PID: 'me' }, [ours]],
      [/LISTEN_FDNAMES must be 1 names/, [], { ...one, LISTEN_FDNAMES: 'a:b' }, [ours]],
    ];
    for (const [pattern, args, variables, passed] of cases) {
      const { status, stderr, stdout } = failedStart('on-demand', args, variables, passed);
      t.match({ status, stdout, stderr }, { status: 1, stdout: '', stderr: pattern });
      t.match(stderr, /^on-demand: .*\n$/, 'one line');
    }
    t.strictSame(readdirSync(folder.path), ['file']);
    for (const fd of [ours, theirs]) fd.close();
  }),
);

/** Runs the Debian tree's varlinkctl on this machine's files, so that a program that it starts finds our Node. */
function varlinkctl(...args: readonly string[]) {
  const tree = process.env.SDRX_DEBIAN_TREE;
  const isArm = process.arch === 'arm64';
  const libraries = `${tree}/usr/lib/${isArm ? 'aarch64' : 'x86_64'}-linux-gnu`;
  const loader = `${libraries}/${isArm ? 'ld-linux-aarch64.so.1' : 'ld-linux-x86-64.so.2'}`;
  const path = ['--library-path', `${libraries}:${libraries}/systemd`];
  const { SYSTEMD_LOG_LEVEL: _, ...env } = environment();
  return spawnSync(loader, [...path, `${tree}/usr/bin/varlinkctl`, ...args], {
    cwd: FOLDER,
    encoding: 'utf8',
    env,
    timeout: LIMIT,
  });
}

t.test('varlinkctl starts it as a program', needsDebianTree, (t) => {
  const said = (...args: readonly string[]) => {
    const { status, stdout, stderr } = varlinkctl(...args);
    t.equal(status, 0, stderr);
    return stdout;
  };
  t.match(said('info', './on-demand'), /Product: on-demand\n[\s\S]*org\.example\.clock/);
  t.match(said('introspect', './on-demand', 'org.example.clock'), /method Now\([\s\S]*error UnknownZone\(/);
  t.match(said('list-methods', './on-demand'), new RegExp(NOW));
  t.match(JSON.parse(said('--json=short', 'call', './on-demand', NOW, '{"zone":"Asia/Tokyo"}')), { time: /\+09:00$/ });
  const refused = varlinkctl('call', './on-demand', NOW, '{"zone":"Mars/Base"}');
  t.not(refused.status, 0);
  t.match(refused.stderr, /org\.example\.clock\.UnknownZone/);
  t.end();
});

/** systemd-socket-activate at a path in a folder of its own. */
async function socketActivate(t: Test, ...args: readonly string[]): Promise<{ path: string; process: ChildProcess }> {
  const folder = new Folder();
  const path = folder.join('socket');
  const started = spawn('systemd-socket-activate', [`--listen=${path}`, ...args], {
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  t.teardown(() => {
    started.kill('SIGKILL');
    folder[Symbol.dispose]();
  });
  let said = '';
  started.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  // The file is there before the socket listens; this it says after that.
  await untilOr(
    LIMIT,
    () => /^Listening on .*$/m.test(said),
    () => `systemd-socket-activate does not listen: ${said}`,
  );
  return { path, process: started };
}

t.test('systemd-socket-activate passes it a socket that listens', systemd('systemd-socket-activate'), async (t) => {
  const { path, process: started } = await socketActivate(t, process.execPath, PROGRAM, '--idle=0.1');
  const end = once(started, 'exit');
  await tellsTheTime(t, path);
  await tellsTheTime(t, path);
  t.same(await end, [0, null], 'it leaves when it is idle');
});

t.test('systemd-socket-activate passes it a connection', systemd('systemd-socket-activate'), async (t) => {
  const { path, process: started } = await socketActivate(t, '--accept', process.execPath, PROGRAM);
  await Promise.all([tellsTheTime(t, path), tellsTheTime(t, path)]);
  const children = `/proc/${started.pid}/task/${started.pid}/children`;
  await untilOr(
    LIMIT,
    () => readFileSync(children, 'ascii').trim() === '',
    () => `${readFileSync(children, 'ascii')} have not ended`,
  );
});

t.test('its units are as systemd wants them', systemd('systemd-analyze'), (t) => {
  const names = readdirSync(FOLDER).filter((name) => /\.(socket|service)$/.test(name));
  t.same(names.sort(), ['on-demand.service', 'on-demand.socket', 'on-demand@.service']);
  using folder = new Folder();
  execFileSync('cp', ['-r', `${FOLDER}/.`, folder.path]);
  for (const name of names.filter((name) => name.endsWith('.service'))) {
    // Where this machine has its Node.
    const unit = readFileSync(folder.join(name), 'utf8');
    writeFileSync(folder.join(name), unit.replace('/usr/bin/node', process.execPath));
  }
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', ...names.map((name) => folder.join(name))], {
    encoding: 'utf8',
    env: { ...environment(), SYSTEMD_UNIT_PATH: `${folder.path}:` },
  });
  t.same({ status, stderr }, { status: 0, stderr: '' });
  t.end();
});

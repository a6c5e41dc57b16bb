import { once } from 'node:events';
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { askService, listenInet, listenUnix } from '@sdrx/event';
import { Fd, write } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { Folder } from '../support/folder.js';
import { ask, type HttpPlace } from '../support/http-clients.js';
import { leavingNothing } from '../support/nothing-left.js';
import { passedSocket } from '../support/passed-socket.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { ServiceManager } from '../support/service-manager.js';
import { failedStart } from './failed-start.js';
import { killAll, restartUnderLoad } from './http-service-restarts.js';
import { type ExampleOptions, RunningExample } from './running-example.js';

const _PROGRAM = programPath('../../../examples/dist/http-service.js', import.meta.url);

/** The longest that anything here may take, in milliseconds. */
const _LIMIT = 60_000;

t.setTimeout(600_000);

/** A port that nobody has. */
function freePort(): number {
  using socket = listenInet('127.0.0.1', 0);
  if (socket.address.family !== 'inet') throw new TypeError('it has no port');
  return socket.address.port;
}

/** The example at an address of its own. */
async function atPort(t: Test, options: ExampleOptions = {}) {
  const port = freePort();
  const args = [`--listen=tcp:127.0.0.1:${port}`, ...(options.args ?? [])];
  const example = new RunningExample(t, 'http-service', { ...options, args });
  await example.prints(`process ${example.pid} is the service`);
  return { example, place: { port } };
}

/** The example with sockets that were passed, by their names. */
async function activated(t: Test, names: readonly string[], options: ExampleOptions = {}) {
  const sockets = names.map(() => passedSocket(t));
  const example = new RunningExample(t, 'http-service', {
    ...options,
    environment: { ...options.environment, LISTEN_FDNAMES: names.join(':') },
    listener: sockets.map(({ fd }) => fd.number),
  });
  await example.prints(`process ${example.pid} is the service`);
  return { example, places: sockets.map(({ path }) => ({ socketPath: path })) };
}

/** Asks, and tells how it was answered. */
async function answerTo(place: HttpPlace, path: string, headers = {}) {
  const asked = request({ host: '127.0.0.1', ...place, path, headers, agent: false }).end();
  const [response] = await once(asked, 'response');
  const chunks: string[] = await response.setEncoding('utf8').toArray();
  return { status: response.statusCode, text: chunks.join(''), headers: response.headers };
}

async function stops(t: Test, example: RunningExample): Promise<void> {
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
}

t.test('it answers at its own address', async (t) => {
  const { example, place } = await atPort(t);
  t.equal((await answerTo(place, '/pid')).text, `${example.pid}\n`);
  const page = await answerTo(place, '/');
  t.equal((await answerTo(place, '/?again')).text, page.text, 'a page is made once');
  const begin = performance.now();
  t.match(await answerTo(place, '/slow?ms=300'), { status: 200, text: 'after 300 ms\n' });
  t.ok(performance.now() - begin >= 299);
  for (const [path, status] of [
    ['/missing', 404],
    ['//', 404],
    ['/slow?ms=x', 400],
    ['/slow?ms=-1', 400],
    ['/slow?ms=1e300', 400],
  ] as const)
    t.equal((await answerTo(place, path)).status, status, path);
  await stops(t, example);
});

t.test(
  'sockets that were passed are served by their names, several of http, and admin tells how it goes',
  async (t) => {
    const { example, places } = await activated(t, ['http', 'admin', 'http']);
    const [first = { port: 0 }, admin = { port: 0 }, second = { port: 0 }] = places;
    for (const place of [first, second]) t.equal(await ask(place, '/pid'), `${example.pid}\n`);
    await ask(first, '/');
    t.strictSame(JSON.parse(await ask(admin, '/')), { pid: example.pid, generation: 0, served: 3, cached: 1 });
    await stops(t, example);
  },
);

t.test('both ends of an upgraded connection hear each other; a WebSocket is told 1012 at the end', async (t) => {
  const { example, place } = await atPort(t);
  const asked = request({
    host: '127.0.0.1',
    ...place,
    path: '/upgrade',
    headers: { Connection: 'Upgrade', Upgrade: 'echo' },
  }).end();
  const [, socket] = await once(asked, 'upgrade');
  socket.write('hello');
  t.equal(String((await once(socket, 'data'))[0]), 'hello');
  socket.destroy();

  const webSocket = new WebSocket(`ws://127.0.0.1:${place.port}/upgrade`);
  await once(webSocket, 'open');
  webSocket.send('hello');
  t.equal(String((await once(webSocket, 'message'))[0]), 'hello');
  const closed = once(webSocket, 'close');
  example.kill('SIGTERM');
  t.equal((await closed)[0], 1012);
  t.equal(await example.ended(), 0);
});

t.test('SIGTERM drains: what was asked for is answered, by Connection: close, and nobody new is served', async (t) => {
  const manager = new ServiceManager(t);
  const { example, place } = await atPort(t, { environment: { NOTIFY_SOCKET: manager.notifySocket } });
  const agent = new Agent({ keepAlive: true });
  const slow = request({ host: '127.0.0.1', ...place, path: '/slow?ms=1000', agent });
  const answered = once(slow, 'response').then(async ([response]) => ({
    headers: response.headers,
    text: (await response.setEncoding('utf8').toArray()).join(''),
  }));
  await once(slow.end(), 'finish');
  await ask(place, '/pid');
  example.kill('SIGTERM');
  await manager.waitFor(/^STOPPING=1$/m);
  await t.rejects(ask(place, '/pid'));
  t.match(await answered, { headers: { connection: 'close' }, text: 'after 1000 ms\n' });
  t.equal(await example.ended(), 0);
  agent.destroy();
});

t.test('the service manager hears of start, restart and end', async (t) => {
  const manager = new ServiceManager(t);
  using folder = new Folder();
  const pidFile = folder.join('pid');
  const { example, place } = await atPort(t, {
    args: [`--pid-file=${pidFile}`],
    environment: { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '2000000' },
  });
  await manager.waitFor(/^READY=1$/);
  t.equal(readFileSync(pidFile, 'ascii'), `${example.pid}\n`);
  await manager.waitFor(/^WATCHDOG=1$/);
  example.kill('SIGHUP');
  t.match(await manager.waitFor(/^RELOADING=1$/m), /^MONOTONIC_USEC=\d+$/m);
  const pid = Number(/^MAINPID=(\d+)$/m.exec(await manager.waitFor(/^MAINPID=\d+\nREADY=1$/m))?.[1]);
  t.teardown(() => killAll([pid]));
  await example.prints(`process ${pid} is the service`);
  t.equal(await ask(place, '/pid'), `${pid}\n`);
  t.equal(readFileSync(pidFile, 'ascii'), `${pid}\n`);
  t.notOk(manager.notifications.some((text) => text.includes('STOPPING')));
  process.kill(pid, 'SIGTERM');
  await manager.waitFor(/^STOPPING=1$/m);
  t.equal(await example.ended(), 0);
  t.strictSame(readdirSync(folder.path), []);
});

t.test('it counts on over a restart, and a WebSocket keeps the old process until it is closed', async (t) => {
  using folder = new Folder();
  const control = folder.join('control');
  const { example, places } = await activated(t, ['http', 'admin'], { args: [`--control=${control}`] });
  const [place = { socketPath: '' }, admin = { socketPath: '' }] = places;
  for (let count = 0; count < 5; count++) await ask(place, '/');
  const webSocket = new WebSocket(`ws+unix:${place.socketPath}:/upgrade`);
  await once(webSocket, 'open');
  const closed = once(webSocket, 'close');
  const answer = await askService(control, 'restart');
  const pid = Number(/^process (\d+) is the service$/.exec(answer)?.[1]);
  t.teardown(() => killAll([pid]));
  t.strictSame(JSON.parse(await ask(admin, '/')), { pid, generation: 1, served: 5, cached: 0 });
  t.equal((await closed)[0], 1012, 'it is told so at once, and may come again');
  await askService(control, 'stop');
  t.equal(await example.ended(), 0);
});

t.test(
  'it leaves when nobody wants anything, only if it was activated, and not while a connection is there',
  async (t) => {
    const { path, fd } = passedSocket(t);
    const place = { socketPath: path };
    // Waits for the service, which might leave before it otherwise.
    const webSocket = new WebSocket(`ws+unix:${path}:/upgrade`);
    const opened = once(webSocket, 'open');
    const example = new RunningExample(t, 'http-service', {
      args: ['--idle=0.2'],
      environment: { LISTEN_FDNAMES: 'http' },
      listener: fd.number,
    });
    const own = await atPort(t, { args: ['--idle=0.2'] });
    await opened;
    await ask(place, '/slow?ms=4000');
    t.equal(await ask(place, '/pid'), `${example.pid}\n`);
    webSocket.close();
    t.equal(await example.ended(), 0);
    t.equal(await ask(own.place, '/pid'), `${own.example.pid}\n`);
    await stops(t, own.example);
  },
);

t.test('its cache is emptied when memory is short', async (t) => {
  using folder = new Folder();
  const path = folder.join('fifo');
  runProgram('mkfifo', [path]);
  using manager = new Fd(openSync(path, 'r+'));
  const { example, place } = await atPort(t, { environment: { MEMORY_PRESSURE_WATCH: path } });
  const page = await ask(place, '/');
  write(manager.number, Buffer.from('x'));
  await example.prints('memory is short: 1 pages are forgotten');
  t.not(await ask(place, '/'), page);
  await stops(t, example);
});

t.test(
  'what it is started with wrongly ends it with one line that says so, and status 1',
  leavingNothing((t) => {
    using folder = new Folder();
    using socket = listenUnix(folder.join('socket'));
    const port = freePort();
    using taken = listenInet('127.0.0.1', port);
    const passed = { LISTEN_FDS: '1', LISTEN_FDNAMES: 'http' };
    const cases: [RegExp, readonly string[], NodeJS.ProcessEnv?, Fd?][] = [
      [/'--port'/, ['--port=1']],
      [/argument 'x'/, ['x']],
      [/--listen/, ['--listen']],
      [/--idle must be a number of seconds.*, not 'x'/, ['--idle=x']],
      [/--idle must be a number of seconds.*, not ''/, ['--idle=']],
      [/--idle must be a number of seconds.*, not '-1'/, ['--idle=-1']],
      [/--ready-within must be a number of seconds.*, not '1m'/, ['--ready-within=1m']],
      [/'nonsense' is no address to listen at/, ['--listen=nonsense']],
      [/--listen=udp:127.0.0.1:1: HTTP needs/, ['--listen=udp:127.0.0.1:1']],
      [/EADDRINUSE.*127.0.0.1:\d+/, [`--listen=tcp:127.0.0.1:${taken.address.family === 'inet' ? port : 0}`]],
      [/--control must be a path/, ['--control=']],
      [/--pid-file must be a path/, ['--pid-file=']],
      [/ENOENT.*missing/, [`--listen=tcp:127.0.0.1:0`, `--pid-file=${folder.join('missing', 'pid')}`]],
      [/EADDRINUSE.*socket/, [`--listen=tcp:127.0.0.1:0`, `--control=${folder.join('socket')}`]],
      [/^--listen can't be given to a service that is activated/, ['--listen=tcp:127.0.0.1:0'], passed, socket.fd],
      [/nothing is declared.*'odd'|no socket 'http' was passed/, [], { ...passed, LISTEN_FDNAMES: 'odd' }, socket.fd],
      [/LISTEN_FDS must be/, [], { ...passed, LISTEN_FDS: 'x' }],
    ];
    for (const [pattern, args, environment, fd] of cases) {
      const { status, stderr, stdout } = failedStart('http-service', args, environment, fd && [fd]);
      t.match({ status, stdout, stderr }, { status: 1, stdout: '', stderr: pattern });
      t.match(stderr, /^[^\n]*\n$/, 'one line');
    }
    t.strictSame(readdirSync(folder.path), ['socket']);
  }),
);

for (const [whose, restarts] of [
  ['passed', 20],
  ['own', 5],
] as const) {
  t.test(`nothing is lost and nothing is left over ${restarts} restarts with sockets that are ${whose}`, (t) =>
    restartUnderLoad(t, restarts, whose),
  );
}

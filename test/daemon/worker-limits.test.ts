import { Ledger } from '@sdrx/daemon';
import { connect, type Fd, isSystemError, ReceiveBuffer, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { readable } from '../support/readable.js';
import { until } from '../support/until.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';
import { workersOf } from '../support/workers.js';

const INFO = 'org.varlink.service.GetInfo';
const MESSAGE = Buffer.from(`${JSON.stringify({ method: INFO })}\0`);

/** A user who is not root, whom limits do not bind. */
const USER = 65_534;

/** Connects as another user; undefined while the queue of those that wait is full. */
function tryConnect(path: string, uid = USER): Fd | undefined {
  const socket = unixSocket();
  process.seteuid?.(uid);
  try {
    connect(socket.number, path);
    return socket;
  } catch (error) {
    socket.close();
    if (isSystemError(error, 'EAGAIN')) return undefined;
    throw error;
  } finally {
    process.seteuid?.(0);
  }
}

/** The first reply that comes, or undefined when the connection ends without one. */
async function reply(socket: Fd): Promise<RawReply | undefined> {
  await readable(socket.number);
  const buffer = new ReceiveBuffer(65536);
  try {
    const count = buffer.receive(socket.number, []) ?? 0;
    return count === 0 ? undefined : JSON.parse(buffer.bytes.toString('utf8', 0, count).replace(/\0.*$/s, ''));
  } catch (error) {
    if (isSystemError(error, 'ECONNRESET')) return undefined;
    throw error;
  }
}

/** Sends a call; a server that refused the connection has closed it. */
function send(socket: Fd): void {
  try {
    sendMessage(socket.number, MESSAGE);
  } catch (error) {
    if (!isSystemError(error, 'EPIPE', 'ECONNRESET')) throw error;
  }
}

/** Opens connections and keeps them, with an answered call on each that is served. @returns how many were served, and they */
async function occupy(
  path: string,
  count: number,
  uid = USER,
): Promise<{ readonly served: number; readonly sockets: Fd[] }> {
  const sockets = Array.from({ length: count }, () => tryConnect(path, uid)).filter((socket) => socket !== undefined);
  for (const socket of sockets) send(socket);
  const replies = await Promise.all(sockets.map(reply));
  return { served: replies.filter((reply) => reply !== undefined && reply.error === undefined).length, sockets };
}

for (const [option, what] of [
  ['--max-connections-per-user=20', 'each user'],
  ['--max-connections=20', 'all'],
] as const) {
  t.test(`${option} is the limit of ${what} over all workers together`, needsRoot, async (t) => {
    const daemon = await startDaemon(t, { args: [option] });
    const workers = await workersOf(daemon, 5, 'nsresourcework');
    const begun = () => {
      using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
      return [0, 1, 2, 3, 4].every((slot) => ledger?.condition(slot) === 'serving');
    };
    await until(begun);
    const first = await occupy(daemon.socketPath, 60);
    // At the very limit two workers may refuse one each that there would have been room for.
    t.ok(first.served >= 16 && first.served <= 20, `${first.served} of 60 are served`);
    await daemon.waitForLog(/nsresourcework\[\d+\]: connection of user 65534 refused: .* 20 connections, the limit/);
    const root = await occupy(daemon.socketPath, 40, 0);
    t.equal(root.served, 40, 'root is not bound by it');
    for (const socket of [...first.sockets, ...root.sockets]) socket.close();
    await until(() => {
      using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
      return ledger?.total('connections') === 0;
    });
    const second = await occupy(daemon.socketPath, 15);
    t.equal(second.served, 15, 'they have room again when they have left');
    // So they have when the workers that served them are dead.
    for (const worker of workers) process.kill(worker, 'SIGKILL');
    await daemon.waitForLog(/(was killed by SIGKILL[\s\S]*){5}/);
    await until(begun);
    const third = await occupy(daemon.socketPath, 15);
    t.equal(third.served, 15);
    for (const socket of [...second.sockets, ...third.sockets]) socket.close();
  });
}

t.test("a storm of one user's connections brings one more worker at most", needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: 'debug' } });
  await workersOf(daemon, 5, 'nsresourcework');
  let most = 0;
  let connections = 0;
  for (let round = 0; round < 100; round++) {
    const sockets = Array.from({ length: 200 }, () => tryConnect(daemon.socketPath)).filter((s) => s !== undefined);
    connections += sockets.length;
    for (const socket of sockets) send(socket);
    const [first] = sockets;
    if (first !== undefined) await reply(first);
    for (const socket of sockets) socket.close();
    most = Math.max(most, daemon.children().length);
  }
  t.ok(most <= 6, `${most} workers`);
  t.ok(connections > 2000, `${connections} connections`);
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
});

t.test('--max-workers is how many there may be', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { args: ['--max-workers=7'], env: { SYSTEMD_LOG_LEVEL: 'debug' } });
  await workersOf(daemon, 5, 'nsresourcework');
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 6, 'nsresourcework');
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 7, 'nsresourcework');
  daemon.kill('SIGUSR2');
  await daemon.waitForLog(/7 workers, no more are started/);
  t.equal(daemon.children().length, 7);
});

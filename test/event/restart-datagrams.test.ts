import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { listenInet } from '@sdrx/event';
import { bind, ReceiveBuffer, SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { readable } from '../support/readable.js';
import { untilOr } from '../support/until.js';
import { isAlive } from './restartable.js';
import { plainEnvironment } from './run-node.js';

const RESTARTS = 5;

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

t.test('no datagram is lost or answered twice while a service restarts under load', async (t) => {
  using folder = new Folder();
  const unix = folder.join('unix');
  const probe = listenInet('127.0.0.1', 0, { type: 'datagram' });
  const port = probe.address.family === 'inet' ? probe.address.port : 0;
  probe[Symbol.dispose]();
  const program = programPath('./programs/datagrams.js', import.meta.url);
  const first = spawn(process.execPath, [program, `127.0.0.1:${port}`, unix], {
    env: plainEnvironment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pids: number[] = [];
  let arrived = () => {};
  createInterface({ input: first.stdout }).on('line', (line) => {
    pids.push(Number(line));
    arrived();
  });
  const generation = async (number: number) => {
    while (pids.length <= number) await new Promise<void>((resolve) => (arrived = resolve));
    return pids[number] ?? 0;
  };
  await generation(0);

  let stops = false;
  const answers = new Map<string, number>();
  const by = new Set<string>();
  const count = (text: string) => {
    const [what = '', pid = ''] = text.split(' ');
    answers.set(what, (answers.get(what) ?? 0) + 1);
    by.add(pid);
  };
  const overUdp = async () => {
    const socket = createSocket('udp4');
    socket.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    let answered = 0;
    socket.on('message', (message) => {
      answered++;
      count(message.toString());
    });
    let sent = 0;
    for (; !stops; sent++) {
      // So many are on their way at a time as a socket has room for.
      while (sent - answered > 50 && !stops) await new Promise((resolve) => setTimeout(resolve, 1));
      socket.send(`udp${sent}`);
      if (sent % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { sent, close: () => socket.close() };
  };
  const overUnix = async () => {
    using socket = unixSocket(SOCK_DGRAM);
    const own = folder.join('client');
    bind(socket.number, own);
    const buffer = new ReceiveBuffer(4096);
    let sent = 0;
    for (; !stops; sent++) {
      while (sendMessage(socket.number, Buffer.from(`${own} unix${sent}`), { to: unix }) === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await readable(socket.number);
      const size = buffer.receive(socket.number, []);
      if (size !== undefined) count(buffer.bytes.toString('utf8', 0, size));
    }
    return sent;
  };
  const udp = overUdp();
  const local = overUnix();
  for (let restart = 1; restart <= RESTARTS; restart++) {
    process.kill(pids[restart - 1] ?? 0, 'SIGHUP');
    await generation(restart);
  }
  stops = true;
  const { sent, close } = await udp;
  const sentLocally = await local;
  const missing = () => `${sent} and ${sentLocally} were sent, ${answers.size} answered`;
  await untilOr(LIMIT, () => answers.size >= sent + sentLocally, missing).finally(close);
  t.strictSame(
    [...answers].filter(([, times]) => times !== 1),
    [],
  );
  t.equal(answers.size, sent + sentLocally);
  t.equal(by.size, RESTARTS + 1, 'each process has answered some');
  process.kill(pids.at(-1) ?? 0, 'SIGTERM');
  // A process's output is closed a moment before it has ended.
  await untilOr(
    LIMIT,
    () => !pids.some(isAlive),
    () => `${pids.filter(isAlive)} live on`,
  );
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { EventLoop, listenUnix } from '@sdrx/event';
import { Fd, ReceiveBuffer } from '@sdrx/linux';
import { root } from '../theme/root.js';
import type { Moment, RecordedRequest, RestartRecording } from './recording.js';
import { until } from './until.js';

/** How long clients go on before and after the restart, and how long they wait between two requests, in milliseconds. */
const MARGIN = 150;
const PAUSE = 15;

/** Of /proc/pid/stat: clock ticks in a second, which is 100 for all that is told to programs. */
const TICK = 10;

/**
 * Restarts the example http-service while clients ask it for its process id again and again, and one asks for an answer that takes
 * longer than the restart. Notes what the service manager is told, and who has answered whom.
 */
export async function recordRestart(): Promise<RestartRecording> {
  const folder = mkdtempSync(join(tmpdir(), 'sdrx-restart-'));
  const [http, notify] = [join(folder, 'http'), join(folder, 'notify')];
  const loop = new EventLoop();
  const finished = loop.run();
  using manager = listenUnix(notify, { type: 'datagram' });
  const told = notifications(loop, manager.fd.number);
  const service = spawn(process.execPath, [`${root}/examples/dist/http-service.js`, `--listen=unix:${http}`], {
    env: { ...process.env, NOTIFY_SOCKET: notify },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    return await restarted(loop, told, service, http);
  } finally {
    service.kill('SIGKILL');
    loop.exit();
    await finished;
    rmSync(folder, { recursive: true });
  }
}

async function restarted(
  loop: EventLoop,
  told: readonly Moment[],
  service: ReturnType<typeof spawn>,
  http: string,
): Promise<RestartRecording> {
  const former = service.pid ?? 0;
  const spawned = loop.now();
  await until(() => told.some(({ what }) => /^READY=1$/m.test(what)));
  const startTime = loop.now() - spawned;
  const requests: RecordedRequest[] = [];
  const ask = async (path: string) => {
    const begin = loop.now();
    const answer = await answerTo(http, path);
    requests.push({ path, begin, end: loop.now(), pid: Number(answer) || former });
  };
  for (let count = 0; count < 50; count++) await ask('/pid');
  requests.splice(0);

  let goesOn = true;
  const begin = loop.now();
  const slow = ask(`/slow?ms=${Math.round(MARGIN + 1.5 * startTime + 200)}`);
  const clients = (async () => {
    for (; goesOn; await setTimeout(PAUSE)) await ask('/pid');
  })();
  const ended = once(service, 'exit').then(() => loop.now());
  await setTimeout(MARGIN);
  const asked = loop.now();
  service.kill('SIGHUP');
  await slow;
  const end = await ended;
  await setTimeout(MARGIN);
  goesOn = false;
  await clients;

  const successor = Number(told.map(({ what }) => /^MAINPID=(\d+)$/m.exec(what)?.[1]).find(Boolean));
  const started = startOf(successor) - bootOffset(loop);
  process.kill(successor, 'SIGTERM');
  await until(
    () =>
      !existsSync(`/proc/${successor}`) || /^State:\s*[ZX]/m.test(readFileSync(`/proc/${successor}/status`, 'utf8')),
  );
  const moments = [
    { at: begin, what: 'begin' },
    { at: asked, what: 'SIGHUP' },
    { at: started, what: 'successor starts' },
    ...told.filter(({ at }) => at >= asked && at <= end),
    { at: end, what: 'former ends' },
  ];
  return { former, successor, moments, requests };
}

/** What a service tells at a socket, as it comes. */
function notifications(loop: EventLoop, socket: number): readonly Moment[] {
  const told: Moment[] = [];
  const buffer = new ReceiveBuffer(4096);
  loop.io(socket).subscribe(() => {
    const fds: number[] = [];
    const size = buffer.receive(socket, fds);
    // Those of BARRIER=1, for which the service waits until they are closed.
    for (const fd of fds) new Fd(fd).close();
    if (size !== undefined) told.push({ at: loop.now(), what: buffer.bytes.toString('utf8', 0, size) });
  });
  return told;
}

function answerTo(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve(text)).on('error', reject);
    });
    asked.on('error', reject).end();
  });
}

/** When a process was started, in milliseconds since the boot. proc_pid_stat(5) */
function startOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return Number(fields[19]) * TICK;
}

/** What the boot clock is ahead of the monotonic one, as it counts the machine's sleep. */
function bootOffset(loop: EventLoop): number {
  return loop.now('boottime') - loop.now();
}

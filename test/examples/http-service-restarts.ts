import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { askService, listenInet } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import type { Test } from 'tap';
import { Folder } from '../support/folder.js';
import { ask, HttpClients, type HttpPlace } from '../support/http-clients.js';
import { passedSocket } from '../support/passed-socket.js';
import { untilOr } from '../support/until.js';
import { RunningExample } from './running-example.js';

/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

/** Ends processes that are no children of this one. */
export function killAll(pids: Iterable<number>): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (!isSystemError(error, 'ESRCH')) throw error;
    }
  }
}

/** Whether it has ended. A process that is orphaned may wait long for process 1 to reap it. */
export function hasEnded(pid: number): boolean {
  try {
    return /^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH')) return true;
    throw error;
  }
}

/** What a process has open, without numbers that are others each time. */
function kindsOfFds(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  const paths = readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch (error) {
      // Closed meanwhile.
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  });
  return paths.map((path) => path.replace(/\d+/g, 'N')).sort();
}

/** The process that the control socket says is the service. */
async function currentPid(control: string): Promise<number> {
  return Number(/^process (\d+)/.exec(await askService(control, 'status'))?.[1]);
}

/**
 * Restarts http-service again and again, by SIGHUP and by its control socket, while clients ask for things at sockets of TCP and Unix:
 * nothing may be lost, and nothing left. The sockets were passed, or are the service's own.
 */
export async function restartUnderLoad(t: Test, restarts: number, whose: 'passed' | 'own'): Promise<void> {
  using folder = new Folder();
  const [control, pidFile] = [folder.join('control'), folder.join('pid')];
  using tcp = listenInet('127.0.0.1', 0);
  const port = tcp.address.family === 'inet' ? tcp.address.port : 0;
  const unix = passedSocket(t);
  const places: HttpPlace[] = [{ port }];
  const options = [`--control=${control}`, `--pid-file=${pidFile}`];
  if (whose === 'passed') places.push({ socketPath: unix.path });
  else tcp[Symbol.dispose]();
  const example = new RunningExample(
    t,
    'http-service',
    whose === 'passed'
      ? {
          args: options,
          environment: { LISTEN_FDNAMES: 'http:http' },
          listener: [tcp.fd.number, unix.fd.number],
        }
      : { args: [...options, `--listen=tcp:127.0.0.1:${port}`] },
  );
  const pids = [example.pid];
  t.teardown(() => killAll(pids.slice(1)));
  await example.prints(/is the service$/);

  const clients = new HttpClients(places);
  let fdsAtFirst: string[] = [];
  let answeredAtLeast = 0;
  for (let count = 1; count <= restarts; count++) {
    const former = pids.at(-1) ?? 0;
    // Those who drain are counted, and a restart beyond two of them is refused.
    await untilOr(
      LIMIT,
      () => pids.slice(0, -2).every(hasEnded),
      () => 'former processes do not end',
    );
    if (count % 2 === 0) process.kill(former, 'SIGHUP');
    else await askService(control, 'restart');
    let pid = former;
    // For a moment either process may answer.
    while (pid === former) pid = await currentPid(control);
    pids.push(pid);
    // It may serve a moment before, when another restart is refused.
    await example.prints(`process ${pid} is the service`);
    // Each generation has work.
    await untilOr(
      LIMIT,
      () => clients.answered > answeredAtLeast,
      () => 'nothing is answered',
    );
    answeredAtLeast = clients.answered + 10;
    if (count === 2) {
      await untilOr(
        LIMIT,
        () => hasEnded(former),
        () => 'the former process does not end',
      );
      fdsAtFirst = kindsOfFds(pids.at(-1) ?? 0);
    }
  }
  await clients.stop();
  t.comment(
    `${restarts} restarts, ${clients.answered} requests answered, ${clients.failures.length + clients.failuresOfKept.length} not`,
  );
  t.comment(`the longest took ${Math.round(clients.longest)} ms`);
  t.strictSame([...clients.failures, ...clients.failuresOfKept], [], 'no request is refused, reset or lost');
  t.equal(new Set(pids).size, restarts + 1, 'each restart has brought a new process');

  const last = pids.at(-1) ?? 0;
  for (const place of places) t.equal(await ask(place, '/pid'), `${last}\n`);
  await untilOr(
    LIMIT,
    () => pids.slice(0, -1).every(hasEnded),
    () => 'former processes do not end',
  );
  t.strictSame(readdirSync(folder.path).sort(), ['control', 'pid']);
  await untilOr(
    LIMIT,
    () => kindsOfFds(last).length <= fdsAtFirst.length,
    () => `descriptors are left:\n${kindsOfFds(last).join('\n')}\nand were at first:\n${fdsAtFirst.join('\n')}`,
  );
  process.kill(last, 'SIGTERM');
  t.equal(await example.ended(), 0);
  await untilOr(
    LIMIT,
    () => hasEnded(last),
    () => 'it does not end',
  );
  t.strictSame(readdirSync(folder.path), [], 'no file is left');
}

import { readFileSync, readlinkSync } from 'node:fs';
import { Log, linuxSystem, type StartedWorker } from '@sdrx/daemon';
import { type ChildExit, EventLoop } from '@sdrx/event';
import { openFile, signalNumber } from '@sdrx/linux';
import { firstValueFrom } from 'rxjs';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { processFds } from '../support/process-fds.js';
import { until } from '../support/until.js';

const LISTEN_FD = '/dev/zero';

/** Starts a worker of sleep(1), which is killed when `act` has done what it does. */
async function withWorker(
  waits: boolean,
  act: (worker: StartedWorker, ended: Promise<ChildExit>) => Promise<unknown>,
): Promise<void> {
  using listening = openFile(LISTEN_FD);
  using loop = new EventLoop();
  const program = ['sleep', '1000'] as const;
  const options = { program, fixed: true, api: true, slot: undefined, log: new Log('test') };
  const worker = linuxSystem.start({ ...options, listenFd: listening.number, waits });
  using process = worker.process;
  const ended = firstValueFrom(loop.child(worker.child));
  const run = loop.run();
  try {
    await act(worker, ended);
  } finally {
    process.kill('SIGKILL');
    worker.begin?.();
    await ended;
    loop.exit();
    await run;
  }
}

function nameOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
}

async function checkWorker(t: Test, { process: { pid } }: StartedWorker): Promise<void> {
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  for (const variable of [`LISTEN_PID=${pid}`, 'LISTEN_FDS=1']) t.ok(environment.includes(variable), variable);
  // A program that has just begun still has its libraries open.
  await until(() => processFds(pid).size === 4);
  const fds = processFds(pid);
  t.strictSame([...fds.keys()], [0, 1, 2, 3]);
  t.equal(fds.get(3), LISTEN_FD);
  for (const fd of [0, 1, 2]) t.equal(fds.get(fd), readlinkSync(`/proc/self/fd/${fd}`));
}

t.test(
  'a worker that waits is a shell until it is told to begin, and then like any other',
  leavingNothing(async (t) => {
    for (const waits of [false, true]) {
      await withWorker(waits, async (worker) => {
        const { process, begin } = worker;
        t.equal(begin !== undefined, waits);
        if (waits) await until(() => nameOf(process.pid) === 'sh');
        begin?.();
        await until(() => nameOf(process.pid) === 'sleep');
        await checkWorker(t, worker);
      });
    }
  }),
);

t.test(
  'one that is told to end while it waits does',
  leavingNothing(async (t) => {
    await withWorker(true, async ({ process }, ended) => {
      await until(() => nameOf(process.pid) === 'sh');
      process.kill('SIGTERM');
      t.match(await ended, { code: 'killed', status: signalNumber('SIGTERM') });
    });
  }),
);

// Has worker threads start programs at the same time as the main thread, with all that can be asked for; prints what came of it.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { libc, spawn } from '@sdrx/linux';
import { openFds } from '../../support/nothing-left.js';
import { waitForExit } from '../../support/wait-for-exit.js';

const PR_GET_DUMPABLE = 3;

const prctl = libc<(option: number) => number>('int prctl(int)');

const SCRIPT = '[ "$LISTEN_PID" = $$ ] && [ "$(umask)" = 0027 ] && [ "$(ulimit -n)" = 100 ]';

function work(): Record<string, number> {
  const ends: Record<string, number> = {};
  const root = process.getuid?.() === 0;
  for (let index = 0; index < 50; index++) {
    const child = spawn('sh', {
      args: ['-c', SCRIPT],
      listenFds: { stdin: 0 },
      umask: 0o27,
      limits: { nofile: [100, 200] },
      ...(root && index % 2 === 0 && { user: { uid: 65534, gid: 65534 } }),
    });
    const { code, status } = waitForExit(child);
    ends[`${code} ${status}`] = (ends[`${code} ${status}`] ?? 0) + 1;
  }
  return ends;
}

async function workInThread(): Promise<unknown> {
  const worker = new Worker(new URL(import.meta.url));
  const exit = once(worker, 'exit');
  const [ends] = await once(worker, 'message');
  await exit;
  return ends;
}

if (isMainThread) {
  // Node keeps some descriptors for its first worker thread.
  await workInThread();
  const before = openFds();
  const threads = Array.from({ length: 3 }, workInThread);
  const ends = [work(), ...(await Promise.all(threads))];
  process.stdout.write(
    JSON.stringify({ ends, fds: openFds().filter((fd) => !before.includes(fd)), dumpable: prctl(PR_GET_DUMPABLE) }),
  );
} else {
  parentPort?.postMessage(work());
}

// Forks while a loop runs, as C code may, and prints as JSON what the loop says in the new process, and what comes in the
// old one. Run it with --single-threaded: the new process has no thread but the one that forked.
import { readFileSync, writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import {
  EventFd,
  IN_CREATE,
  isForked,
  isSystemError,
  libc,
  pipe,
  read,
  spawn,
  WEXITED,
  waitPid,
  write,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { Folder } from '../../support/folder.js';
import { within } from '../../support/within.js';

const fork = libc<() => number>('int fork()');
const exitNow = libc<(status: number) => void>('void _exit(int)');
const madvise = libc<(address: bigint, size: bigint, advice: number) => number>('int madvise(intptr_t, size_t, int)');
const MADV_DOFORK = 11;

/** V8 keeps its heap from forked processes, in which no JavaScript can run therefore. Here it is to. */
function inheritAllMemory(): void {
  for (const [, begin = '', end = ''] of readFileSync('/proc/self/maps', 'ascii').matchAll(/^(\w+)-(\w+)/gm)) {
    const address = BigInt(`0x${begin}`);
    // Fails for some of the kernel's own, which don't matter.
    madvise(BigInt.asIntN(64, address), BigInt(`0x${end}`) - address, MADV_DOFORK);
  }
}

using folder = new Folder();
using event = new EventFd();
using child = spawn('sleep', { args: ['1000'] });
const [reader, writer] = pipe();
using loop = new EventLoop();
using idle = new EventLoop();
idle.io(event.fd).subscribe();

const came: string[] = [];
const sources: Readonly<Record<string, Observable<unknown>>> = {
  io: loop.io(event.fd),
  time: loop.time({ every: 1 }),
  inotify: loop.inotify(folder.path, { mask: IN_CREATE }),
  child: loop.child(child, { own: true }),
  signal: loop.signal('SIGUSR2'),
};
const subscriptions = Object.entries(sources).map(([name, source]) =>
  source.subscribe(() => {
    if (!came.includes(name)) came.push(name);
    if (name === 'io') event.take();
    if (came.length === subscriptions.length) loop.exit(3);
  }),
);
const finished = loop.run();
await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

const report = Buffer.alloc(65_536);
let size: number | undefined;
// V8 may take more memory in between. Then the new process ends at its first step, and another one is tried.
for (let attempt = 0; size === undefined && attempt < 50; attempt++) {
  inheritAllMemory();
  const pid = fork();
  if (pid === 0) await reportAndExit();
  waitPid(pid, WEXITED);
  size = read(reader.number, report);
}

event.add();
writeFileSync(folder.join('created'), '');
process.kill(process.pid, 'SIGUSR2');
child.kill('SIGTERM');
const code = await within(20_000, () => `only ${came} came`, finished);
process.stdout.write(
  JSON.stringify({
    ...JSON.parse(report.toString('utf8', 0, size)),
    here: { forked: isForked(), came: came.toSorted(), code },
  }),
);

async function reportAndExit(): Promise<void> {
  const refused: Record<string, string> = { run: await refusal(idle.run()) };
  refused.exit = await refusal(new Promise(() => loop.exit(4)));
  for (const [name, source] of Object.entries({ ...sources, defer: loop.defer(), ofTheOther: idle.post() })) {
    refused[name] = await refusal(new Promise((_, reject) => source.subscribe({ error: reject })));
  }
  write(writer.number, Buffer.from(JSON.stringify({ refused, forked: isForked() })));
  exitNow(0);
}

/** The code of the error that `promise` rejects with. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return isSystemError(error) ? String(error.code) : String(error);
  }
}

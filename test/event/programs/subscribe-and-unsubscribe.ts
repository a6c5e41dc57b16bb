// Subscribes to a source of each kind and unsubscribes, very often, and prints as JSON by how many bytes the heap and by how
// many descriptors the process grew over it. Needs --expose-gc. The argument is how often.
import { EventLoop } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { held, specimens } from '../specimens.js';

const rounds = Number(process.argv[2]);
const loop = new EventLoop();
const finished = loop.run();
using child = spawn('sleep', { args: ['infinity'] });

const sources: Record<string, () => Observable<unknown>> = {
  child: () => loop.child(child),
  'child by its id': () => loop.child(child.pid, { stopped: true }),
  exiting: () => loop.exiting(),
  'time once': () => loop.time({ after: 1e6, ratelimit: { interval: 1, burst: 1 }, prepare() {} }),
};
const disposables = Object.entries(specimens).map(([kind, make]) => {
  const specimen = make();
  sources[kind] = () => specimen.source(loop);
  return specimen;
});

function used(): { heap: number; fds: number; watched: number } {
  globalThis.gc?.();
  return { heap: process.memoryUsage().heapUsed, ...held() };
}

function churn(source: () => Observable<unknown>, count: number): void {
  for (let round = 0; round < count; round++)
    source()
      .subscribe(() => {})
      .unsubscribe();
}

const growth: Record<string, { heap: number; fds: number; watched: number }> = {};
for (const [kind, source] of Object.entries(sources)) {
  // What the kinds share within a process or a loop stays for one that is there: the kernel takes long to make it anew.
  const first = source().subscribe();
  churn(source, rounds / 10);
  const before = used();
  churn(source, rounds);
  const after = used();
  growth[kind] = {
    heap: after.heap - before.heap,
    fds: after.fds - before.fds,
    watched: after.watched - before.watched,
  };
  first.unsubscribe();
  // Lets what waits for a turn of Node go.
  await new Promise((resolve) => setImmediate(resolve));
}
child.kill('SIGKILL');
for (const disposable of disposables) disposable[Symbol.dispose]();
loop.exit();
await finished;
process.stdout.write(JSON.stringify(growth));

// Starts threads that end in one way after the other, and prints as JSON how they ended and how many descriptors were open before
// and after; or ends itself while they are there.
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Ending } from './ending-thread.js';

/** What this thread has of the library itself. */
export type Here = 'nothing' | 'the library' | 'a loop that runs';

/** How this thread ends. */
export type Last = 'exit' | 'throw' | 'reject' | 'naturally';

export interface Settings {
  readonly endings: readonly Ending[];
  readonly here: Here;
  /** How many threads in all, and at a time. */
  readonly count: number;
  readonly atOnce: number;
  /** Ends this thread so when all `endings` are there, once each. */
  readonly last?: Last;
}

export interface Result {
  /** How many threads ended in each way: what was asked for, the exit code, and the error's code or message. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly before: number;
  readonly after: number;
}

const { endings, here, count, atOnce, last }: Settings = JSON.parse(process.argv[2] ?? '');

const openFds = (): number => readdirSync('/proc/self/fd').length;

function start(ending: Ending): { readonly worker: Worker; readonly ready: Promise<unknown> } {
  const worker = new Worker(new URL('./ending-thread.js', import.meta.url), {
    workerData: ending,
    resourceLimits: ending === 'heap' ? { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 } : {},
  });
  const ready = new Promise((resolve) => worker.once('message', resolve).once('exit', resolve));
  return { worker, ready };
}

async function end(ending: Ending): Promise<string> {
  const { worker, ready } = start(ending);
  let failure = '';
  worker.once('error', (error: NodeJS.ErrnoException) => {
    failure = ` ${error.code ?? error.message}`;
  });
  const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
  await ready;
  if (ending === 'wait while starting') await sleep(Math.random() * 5);
  if (ending.startsWith('wait')) await worker.terminate();
  return `${ending}: ${await exited}${failure}`;
}

async function endAll(): Promise<Result> {
  // Node opens some descriptors once, with the first threads.
  await Promise.all([end('wait'), end('natural')]);
  const before = openFds();
  const outcomes: Record<string, number> = {};
  let next = 0;
  const endOneByOne = async (): Promise<void> => {
    while (next < count) {
      const outcome = await end(endings[next++ % endings.length] as Ending);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, endOneByOne));
  return { outcomes, before, after: openFds() };
}

async function endFirst(how: Last): Promise<void> {
  const started = endings.map(start);
  await Promise.all(started.map(({ ready }) => ready));
  for (const { worker } of started) worker.unref();
  console.log('all are there');
  if (how === 'exit') process.exit(5);
  if (how === 'throw') throw new Error('as asked');
  if (how === 'reject') void Promise.reject(new Error('as asked'));
}

if (here !== 'nothing') {
  const { EventLoop } = await import('@sdrx/event');
  const loop = new EventLoop();
  loop.time({ every: 1 }).subscribe();
  if (here === 'a loop that runs') void loop.run();
}
if (last === undefined) {
  console.log(JSON.stringify(await endAll()));
  process.exit(0);
}
await endFirst(last);

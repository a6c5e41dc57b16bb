import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { EventLoop } from '@sdrx/event';
import { EventFd, IN_CLOSE_WRITE, sigqueue, spawn } from '@sdrx/linux';
import { firstValueFrom, type Observable, tap } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

const ROUNDS = 50;
const SIGNAL = 'SIGRTMIN+12';

/** Does `step` so many times, one after another. */
async function rounds(step: (round: number) => unknown): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) await step(round);
}

/** Sends a byte through a socket of Node's and waits for its echo, again and again. */
async function echo(): Promise<void> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const socket = connect(address.port, '127.0.0.1');
  await rounds(async () => {
    socket.write('x');
    await once(socket, 'data');
  });
  socket.end();
  server.close();
  // Both of them: each has a descriptor until then.
  await Promise.all([once(socket, 'close'), once(server, 'close')]);
}

/** What Node does by itself, and what must go on beside a loop that always has something to do. */
const work: Readonly<Record<string, () => Promise<void>>> = {
  immediates: () => rounds(() => new Promise((resolve) => setImmediate(resolve))),
  timers: () => rounds(() => new Promise((resolve) => setTimeout(resolve, 1))),
  ticks: () => rounds(() => new Promise((resolve) => process.nextTick(resolve))),
  promises: () => rounds(() => undefined),
  files: () => rounds(() => readFile('/proc/self/stat')),
  sockets: echo,
};

const busyLoops: Readonly<Record<string, (loop: EventLoop, ready: EventFd) => Observable<unknown>>> = {
  'defer that repeats': (loop) => loop.defer({ repeat: true }),
  'descriptor that is always ready': (loop, ready) => loop.io(ready.fd),
  'timer that is always due': (loop) => loop.time({ every: 0.000_001 }),
  'handler that takes two milliseconds': (loop) =>
    loop.defer({ repeat: true }).pipe(
      tap(() => {
        const end = performance.now() + 2;
        while (performance.now() < end);
      }),
    ),
};

for (const [name, source] of Object.entries(busyLoops)) {
  t.test(`all that Node does goes on beside a ${name}`, async (t) => {
    using loop = new EventLoop();
    using ready = new EventFd(1);
    const finished = loop.run();
    let came = 0;
    const subscription = source(loop, ready).subscribe(() => came++);
    await Promise.all(Object.values(work).map((begin) => begin()));
    t.ok(came >= ROUNDS, `${came} times beside it`);
    subscription.unsubscribe();
    loop.exit();
    await finished;
  });
}

t.test(
  'of slow handlers there is no more than one from one turn of Node to the next',
  onLoop(async (t, loop) => {
    let came = 0;
    const subscription = loop.defer({ repeat: true }).subscribe(() => {
      came++;
      const end = performance.now() + 2;
      while (performance.now() < end);
    });
    const perTurn: number[] = [];
    for (let turn = 0; turn < 20; turn++) {
      const before = came;
      await new Promise((resolve) => setImmediate(resolve));
      perTurn.push(came - before);
    }
    subscription.unsubscribe();
    t.ok(Math.max(...perTurn) <= 1, `${perTurn}`);
    t.ok(came >= 10);
  }),
);

/** Keeps Node busy: immediates without a pause, each followed by many ticks and promises. @returns what ends it */
function keepNodeBusy(count: () => void): () => void {
  let over = false;
  const immediate = (): void => {
    if (over) return;
    count();
    for (let tick = 0; tick < 200; tick++) {
      process.nextTick(() => undefined);
      void Promise.resolve().then(() => undefined);
    }
    setImmediate(immediate);
  };
  const timer = (): void => {
    if (!over) setTimeout(timer, 0);
  };
  immediate();
  timer();
  return () => {
    over = true;
  };
}

t.test(
  "a loop's sources all come beside a Node that is always busy",
  onLoop(async (t, loop) => {
    using event = new EventFd();
    using folder = new Folder();
    const rest = keepNodeBusy(() => undefined);
    const counts: Record<string, number> = {};
    const counted = (name: string, source: Observable<unknown>) => {
      counts[name] = 0;
      return source.pipe(tap(() => (counts[name] = (counts[name] ?? 0) + 1))).subscribe();
    };
    const subscriptions = [
      counted('io', loop.io(event.fd).pipe(tap(() => event.take()))),
      counted('time', loop.time({ every: 1 })),
      counted('signal', loop.signal(SIGNAL)),
      counted('inotify', loop.inotify(folder.path, { mask: IN_CLOSE_WRITE })),
      counted('defer', loop.defer({ repeat: true, priority: 1 })),
      counted('post', loop.post()),
    ];
    await rounds(async (round) => {
      event.add();
      sigqueue(process.pid, SIGNAL, round);
      await writeFile(folder.join('file'), '');
      const all = ['io', 'time', 'signal', 'inotify', 'defer', 'post'];
      await until(() => all.every((name) => (counts[name] ?? 0) > round));
    });
    using child = spawn('true');
    t.equal((await firstValueFrom(loop.child(child))).status, 0);
    rest();
    for (const subscription of subscriptions) subscription.unsubscribe();
  }),
);

t.test(
  'what is ready comes within a few turns of Node, however busy that is',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    let turn = 0;
    const rest = keepNodeBusy(() => turn++);
    const waits: number[] = [];
    await rounds(async () => {
      const come = firstValueFrom(loop.io(event.fd).pipe(tap(() => event.take())));
      const before = turn;
      event.add();
      await come;
      waits.push(turn - before);
    });
    rest();
    t.ok(Math.max(...waits) <= 4, `${waits}`);
  }),
);

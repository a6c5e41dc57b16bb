import { EventLoop } from '@sdrx/event';
import { SIGRTMIN, signalNumber, sigqueue } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

/** None of which Node or the test runner listens to. */
const SIGNALS = ['SIGUSR2', 'SIGWINCH', 'SIGRTMIN+2', 'SIGRTMIN+3'].map((name) => signalNumber(name as 'SIGUSR2'));

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

/** Sends signals to the process while nobody takes them, so that all are pending when the loop runs. */
async function dispatchOrder(
  subscribed: readonly number[],
  sent: readonly number[],
  priorityOf: (signo: number) => number = () => 0,
): Promise<number[]> {
  using loop = new EventLoop();
  const order: number[] = [];
  for (const signo of subscribed) {
    loop.signal(signo, { priority: priorityOf(signo) }).subscribe(({ value }) => order.push(value));
  }
  for (const signo of sent) sigqueue(process.pid, signo, signo);
  loop.defer({ priority: 1000 }).subscribe(() => loop.exit());
  await loop.run();
  return order;
}

t.test(
  'pending signals of one priority come by their number, in whatever order they were subscribed to and sent',
  leavingNothing(async (t) => {
    const expected = [...SIGNALS].sort((a, b) => a - b);
    let wrong = 0;
    for (const subscribed of permutations(SIGNALS)) {
      for (const sent of permutations(SIGNALS)) {
        const order = await dispatchOrder(subscribed, sent);
        if (`${order}` !== `${expected}`) wrong++;
      }
    }
    t.equal(wrong, 0);
  }),
);

t.test(
  'any number of them come by priority, then number, those of one real-time signal all',
  leavingNothing(async (t) => {
    const signo = fc.integer({ min: SIGRTMIN + 1, max: SIGRTMIN + 6 });
    const property = fc.asyncProperty(
      fc.array(signo, { minLength: 1, maxLength: 30 }),
      fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 6, maxLength: 6 }),
      async (sent, priorities) => {
        const priorityOf = (signo: number) => priorities[signo - SIGRTMIN - 1] ?? 0;
        const order = await dispatchOrder([...new Set(sent)], sent, priorityOf);
        const expected = [...sent].sort((a, b) => priorityOf(a) - priorityOf(b) || a - b);
        if (`${order}` !== `${expected}`) throw new Error(`${order}, expected ${expected}`);
      },
    );
    await fc.assert(property, { numRuns: 100 });
    t.pass('they did');
  }),
);

t.test(
  'one of a lower number that comes meanwhile goes ahead of those that wait, and a standard one is told once',
  onLoop(async (t, loop) => {
    const [low = 0, , middle = 0, high = 0] = SIGNALS;
    const order: number[] = [];
    const subscriptions = [high, middle, low].map((signo) =>
      loop.signal(signo).subscribe(({ value }) => {
        order.push(value);
        if (value !== 2) return;
        sigqueue(process.pid, low, 1);
        sigqueue(process.pid, low, 4);
        sigqueue(process.pid, middle, 5);
      }),
    );
    sigqueue(process.pid, high, 3);
    sigqueue(process.pid, middle, 2);
    await until(() => order.includes(3));
    t.strictSame(order, [2, 1, 5, 3]);
    for (const subscription of subscriptions) subscription.unsubscribe();
  }),
);

t.test(
  'one that its rate limit holds back does not hold back others of its priority',
  onLoop(async (t, loop) => {
    const [, , one = 0, other = 0] = SIGNALS;
    const order: number[] = [];
    const ratelimit = { interval: 3_600_000, burst: 1 };
    const subscriptions = [
      loop.signal(one, { ratelimit }).subscribe(({ value }) => order.push(value)),
      loop.signal(other).subscribe(({ value }) => order.push(value)),
    ];
    for (const value of [1, 2, 3]) sigqueue(process.pid, one, value);
    for (const value of [4, 5]) sigqueue(process.pid, other, value);
    await until(() => order.length === 3);
    t.strictSame(order, [1, 4, 5]);
    for (const subscription of subscriptions) subscription.unsubscribe();
  }),
);

t.test(
  'two loops with several signals each get all of them, in their order',
  onLoop(async (t, loop) => {
    using other = new EventLoop();
    const finished = other.run();
    const [, , low = 0, high = 0] = SIGNALS;
    const orders: number[][] = [[], []];
    const subscriptions = [loop, other].flatMap((loop, index) =>
      [high, low].map((signo) => loop.signal(signo).subscribe(({ value }) => orders[index]?.push(value))),
    );
    for (let round = 0; round < 20; round++) for (const signo of [high, low]) sigqueue(process.pid, signo, signo);
    await until(() => orders.every(({ length }) => length === 40));
    for (const order of orders) t.equal(order.filter((value) => value === low).length, 20);
    for (const subscription of subscriptions) subscription.unsubscribe();
    other.exit();
    await finished;
  }),
);

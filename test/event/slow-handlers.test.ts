import { EventLoop } from '@sdrx/event';
import { now } from '@sdrx/linux';
import { tap } from 'rxjs';
import t from 'tap';

function busy(milliseconds: number): void {
  for (const end = now('monotonic') + milliseconds; now('monotonic') < end; );
}

const SLOW = 'the slow one';

/** Without those of others, which may be slow as well where a process waits for a processor. */
function ofTheSlowOne<W extends Error>(warnings: readonly W[]): W[] {
  return warnings.filter(({ message }) => message.includes(`'${SLOW}'`));
}

/** The warnings of slow handlers that Node has while a loop runs. */
async function warningsOf(slow: number | undefined, work: () => void): Promise<(Error & { detail?: string })[]> {
  const warnings: Error[] = [];
  const listener = (warning: Error) => warnings.push(warning);
  process.on('warning', listener);
  using loop = new EventLoop(slow === undefined ? {} : { slow });
  loop.defer({ description: SLOW }).subscribe(work);
  await loop.run(loop.time({ after: 5 }).pipe(tap(() => loop.exit())));
  await new Promise((resolve) => setImmediate(resolve));
  process.off('warning', listener);
  return warnings.filter(({ name }) => name === 'SlowHandlerWarning');
}

t.test(
  'a handler that takes longer than it may is warned of, by its name and where it was subscribed to',
  async (t) => {
    const [warning, ...more] = ofTheSlowOne(await warningsOf(20, () => busy(40)));
    t.match(warning?.message, /^a handler of defer 'the slow one' took \d+\.\d ms, and nothing else/);
    t.match(warning?.detail, /^subscribed to\n.*slow-handlers\.test/s);
    t.equal(more.length, 0);
  },
);

t.test('one that is quick enough is not, nor any where nobody asked', async (t) => {
  t.strictSame(await warningsOf(1000, () => busy(1)), []);
  t.strictSame(await warningsOf(undefined, () => busy(40)), []);
});

t.test('one that fails is warned of as well', async (t) => {
  const failed = new Promise((resolve) => process.once('uncaughtException', resolve));
  const warnings = await warningsOf(5, () => {
    busy(10);
    throw new Error('it failed');
  });
  t.match(await failed, { message: 'it failed' });
  t.equal(ofTheSlowOne(warnings).length, 1);
});

import { readFileSync, rmSync, statSync } from 'node:fs';
import { COUNTED, type Counted, Ledger, LedgerSlot, ROWS, SharedQuota } from '@sdrx/daemon';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const taker = programPath('ledger-taker.js', import.meta.url);

/** A manager's ledger, and another view of it, as a worker has one. */
function makeLedger(t: Test): { readonly manager: Ledger; readonly worker: Ledger; readonly folder: Folder } {
  const folder = new Folder();
  const manager = Ledger.create(folder.path);
  const worker = Ledger.open(folder.path, process.pid) as Ledger;
  t.teardown(() => {
    for (const resource of [worker, manager, folder]) resource[Symbol.dispose]();
  });
  return { manager, worker, folder };
}

/** A worker's slot, as many as are asked for. */
function begin(manager: Ledger, worker: Ledger, pid: number): LedgerSlot {
  return new LedgerSlot(worker, manager.assign() as number, pid);
}

t.test('the file is for root alone, and takes space for the slots that are in use only', async (t) => {
  const { manager, folder } = makeLedger(t);
  const blocks = () => statSync(Ledger.path(folder.path)).blocks * 512;
  t.equal((statSync(Ledger.path(folder.path)).mode & 0o7777).toString(8), '600');
  const before = blocks();
  t.ok(before < 512 * 1024);
  manager.assign();
  t.ok(blocks() >= before + ROWS * 16);
  t.ok(blocks() < before + 2 * ROWS * 16);
});

t.test('what one worker counts all others see', async (t) => {
  const { manager, worker } = makeLedger(t);
  const [first, second] = [begin(manager, worker, 11), begin(manager, worker, 12)];
  first.add(1000, 'connections');
  first.add(1000, 'connections');
  second.add(1000, 'connections');
  second.add(0xffff_fffe, 'helpers');
  for (const ledger of [manager, worker]) {
    t.equal(ledger.of(1000, 'connections'), 3);
    t.equal(ledger.of(1000, 'helpers'), 0);
    t.equal(ledger.of(0xffff_fffe, 'helpers'), 1);
    t.equal(ledger.total('connections'), 3);
    t.strictSame([...ledger.byUser('connections')], [[1000, 3]]);
    t.strictSame([...ledger.byUser('helpers')], [[0xffff_fffe, 1]]);
  }
  first.remove(1000, 'connections');
  t.equal(manager.of(1000, 'connections'), 2);
});

t.test('a worker that died counts for nothing once its slot is released', async (t) => {
  const { manager, worker } = makeLedger(t);
  const [first, second] = [begin(manager, worker, 11), begin(manager, worker, 12)];
  for (const slot of [first, second]) slot.add(1000, 'calls');
  first.beat(5);
  first.condition = 'serving';
  manager.release(first.slot);
  t.equal(worker.of(1000, 'calls'), 1);
  t.equal(worker.total('calls'), 1);
  t.equal(manager.beat(first.slot), 0);
  t.equal(manager.condition(first.slot), 'starting');
  t.equal(manager.assign(), first.slot, 'its slot is the next one');
  t.equal(manager.of(1000, 'calls'), 1);
});

t.test('a worker gets the lowest slot that is free, and no slot above the last one counts as used', async (t) => {
  const { manager } = makeLedger(t);
  const releases = fc.array(fc.option(fc.nat(), { freq: 2 }), { maxLength: 60 });
  fc.assert(
    fc.property(releases, (releases) => {
      const taken: number[] = [];
      for (const which of releases) {
        if (which === null) {
          const free = [...taken.keys(), taken.length].find((slot) => !taken.includes(slot));
          const slot = manager.assign();
          t.equal(slot, free);
          taken.push(slot as number);
        } else if (taken.length > 0) {
          for (const slot of taken.splice(which % taken.length, 1)) manager.release(slot);
        }
        t.equal(manager.usedSlots, Math.max(-1, ...taken) + 1);
      }
      for (const slot of taken) manager.release(slot);
      t.equal(manager.usedSlots, 0);
    }),
  );
});

t.test('a slot whose worker has not begun counts for nothing', async (t) => {
  const { manager, worker } = makeLedger(t);
  const slot = manager.assign() as number;
  worker.rows(slot).set([1000, 7, 7, 7]);
  t.equal(manager.of(1000, 'connections'), 0);
});

t.test('a worker has room for so many users, and for each again when it has left', async (t) => {
  const { manager, worker } = makeLedger(t);
  const slot = begin(manager, worker, 11);
  t.ok(Array.from({ length: ROWS }).every((_, uid) => slot.add(uid, 'connections')));
  t.equal(slot.add(ROWS, 'connections'), false);
  t.equal(slot.add(3, 'connections'), true, 'who is there already has room');
  slot.remove(77, 'connections');
  t.equal(slot.add(ROWS, 'connections'), true);
  t.equal(manager.of(77, 'connections'), 0);
  t.equal(manager.of(ROWS, 'connections'), 1);
});

t.test('counts as a simple model does, whatever comes and goes', async (t) => {
  const { manager, worker } = makeLedger(t);
  const uid = fc.constantFrom(0, 1, 1000, 0x8000_0000, 0xffff_fffe);
  const step = fc.tuple(fc.nat(3), fc.constantFrom('add', 'remove', 'die'), uid, fc.constantFrom(...COUNTED));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let slots = Array.from({ length: 4 }, (_, index) => begin(manager, worker, index + 1));
      let counts = slots.map(() => new Map<string, number>());
      for (const [index, what, user, counted] of steps) {
        const key = `${user} ${counted}`;
        const count = counts[index]?.get(key) ?? 0;
        if (what === 'add') {
          slots[index]?.add(user, counted);
          counts[index]?.set(key, count + 1);
        } else if (what === 'remove' && count > 0) {
          slots[index]?.remove(user, counted);
          counts[index]?.set(key, count - 1);
        } else if (what === 'die') {
          manager.release(slots[index]?.slot ?? -1);
          slots = slots.with(index, begin(manager, worker, index + 1));
          counts = counts.with(index, new Map());
        }
        const expected = counts.reduce((sum, ofOne) => sum + (ofOne.get(key) ?? 0), 0);
        if (manager.of(user, counted) !== expected || (worker.byUser(counted).get(user) ?? 0) !== expected)
          return false;
      }
      const total = (counted: Counted) =>
        counts.flatMap((ofOne) => [...ofOne]).reduce((sum, [key, n]) => (key.endsWith(counted) ? sum + n : sum), 0);
      const right = COUNTED.every((counted) => manager.total(counted) === total(counted));
      for (const { slot } of slots) manager.release(slot);
      return right && manager.usedSlots === 0;
    }),
  );
});

t.test('a quota over all workers grants each place once, whoever asks at the same time', async (t) => {
  const { manager, folder } = makeLedger(t);
  const limit = 50;
  // Each process takes and gives back many times, keeps what it has at the end, and tells the most that it has ever seen.
  const script = 'for slot in 0 1 2 3; do "$@" $slot & done; wait';
  for (let slot = 0; slot < 4; slot++) manager.assign();
  const args = [taker, folder.path, String(process.pid), String(limit)];
  const { output } = runNode(args, ['sh', '-c', script, 'sh']);
  const results = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.equal(results.length, 4);
  for (const { most } of results) t.ok(most <= limit, `${most} are never more than ${limit}`);
  const held = results.reduce((sum, { held }) => sum + held, 0);
  t.ok(held > 0 && held <= limit);
  t.equal(manager.of(1000, 'connections'), held, 'what died with its process is there until it is released');
  for (let slot = 0; slot < 4; slot++) manager.release(slot);
  t.equal(manager.of(1000, 'connections'), 0);
});

t.test('a quota refuses what is too much, and says why', async (t) => {
  const { manager, worker } = makeLedger(t);
  const refused: string[] = [];
  const options = { perUser: 2, inAll: 3, refused: (uid: number, reason: string) => refused.push(`${uid}: ${reason}`) };
  const quotas = [11, 12].map((pid) => new SharedQuota(begin(manager, worker, pid), 'connections', options));
  const [first, second] = quotas as [SharedQuota, SharedQuota];
  const held = first.take(1000);
  t.ok(second.take(1000));
  t.equal(first.take(1000), undefined);
  t.ok(first.take(1001));
  t.equal(second.take(1002), undefined);
  t.strictSame(refused, [
    '1000: the user has 2 connections, the limit',
    '1002: all users together have 3 connections, the limit',
  ]);
  held?.[Symbol.dispose]();
  held?.[Symbol.dispose]();
  t.ok(second.take(1002), 'one was given back, once');
  t.equal(manager.total('connections'), 3);
});

t.test('root can be excepted, but counts', async (t) => {
  const { manager, worker } = makeLedger(t);
  const quota = new SharedQuota(begin(manager, worker, 11), 'calls', { perUser: 2, inAll: 3, exceptRoot: true });
  for (let count = 0; count < 5; count++) t.ok(quota.take(0));
  t.equal(quota.take(1000), undefined);
  t.equal(manager.of(0, 'calls'), 5);
});

t.test('a barred user is barred for all, root never is', async (t) => {
  const { manager, worker } = makeLedger(t);
  t.equal(worker.isBarred(1000), false);
  for (const uid of [0, 1000, 1000, 0xffff_fffe]) worker.bar(uid);
  t.equal(manager.isBarred(1000), true);
  t.equal(manager.isBarred(0xffff_fffe), true);
  t.equal(manager.isBarred(0), false);
  t.equal(manager.isBarred(1001), false);
  for (let uid = 2000; uid < 2000 + 4096; uid++) worker.bar(uid);
  t.equal(manager.isBarred(6095), true);
  t.equal(manager.isBarred(1000), false, 'the oldest ones are forgotten when there are too many');
});

t.test('there is none of another manager, of none, or in another format', async (t) => {
  const { manager, folder } = makeLedger(t);
  t.equal(Ledger.open(folder.path, process.pid + 1), undefined);
  manager.words[1] = 2;
  t.equal(Ledger.open(folder.path, process.pid), undefined);
  rmSync(Ledger.path(folder.path));
  t.equal(Ledger.open(folder.path, process.pid), undefined);
});

t.test('a manager makes a new one, and workers of the former one go on with theirs', async (t) => {
  const { manager, worker, folder } = makeLedger(t);
  const slot = begin(manager, worker, 11);
  using next = Ledger.create(folder.path);
  slot.add(1000, 'connections');
  t.equal(next.of(1000, 'connections'), 0);
  t.equal(manager.of(1000, 'connections'), 1);
});

t.test(
  'closes what it opens',
  leavingNothing(async () => {
    using folder = new Folder();
    using manager = Ledger.create(folder.path);
    using worker = Ledger.open(folder.path, process.pid);
    manager.assign();
    worker?.rows(0);
    Ledger.open(folder.path, process.pid + 1);
  }),
);

t.test('it looks at no rows of slots that were never in use', async (t) => {
  const { manager, worker, folder } = makeLedger(t);
  const blocks = () => statSync(Ledger.path(folder.path)).blocks;
  begin(manager, worker, 11);
  const before = blocks();
  worker.byUser('connections');
  worker.of(5, 'calls');
  t.equal(blocks(), before);
  t.ok(readFileSync('/proc/self/maps', 'ascii').includes(Ledger.path(folder.path)));
});

import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { needsVirtualMachine } from '../e2e/vm/machine.js';
import { RegisteredNamespace, restricted, traces } from '../e2e/vm/namespaces.js';
import { change, install, isServed, type Provider, property, REGISTRY } from '../e2e/vm/service.js';
import { systemdRelease } from '../support/systemd-release.js';
import { untilOr } from '../support/until.js';

/** How many namespaces are alive all the time. */
const COUNT = 50;

/** How often each daemon gives way to the other. */
const ROUNDS = 10;

/** The longest that a daemon may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

t.setTimeout(6 * 3600 * 1000);

/** What a namespace has of the host's ids, by the registry: its own range and what it may give to others. */
function ranges(inode: number): [first: number, count: number][] {
  const entry = JSON.parse(readFileSync(`${REGISTRY}/i${inode}.userns`, 'utf8'));
  const {
    start,
    size,
    delegates = [],
  }: { start: number; size: number; delegates?: { start: number; size: number }[] } = entry;
  return [{ start, size }, ...delegates].map(({ start, size }) => [start, size]);
}

/** The ids that two namespaces have. */
function overlaps(namespaces: readonly RegisteredNamespace[]): string[] {
  const all = namespaces.flatMap(({ inode }) => ranges(inode).map(([first, count]) => ({ inode, first, count })));
  all.sort((one, other) => one.first - other.first);
  return all.flatMap(({ inode, first }, index) => {
    const before = all[index - 1];
    return before && before.first + before.count > first ? [`${inode} and ${before.inode} have ${first}`] : [];
  });
}

t.test(
  `systemd ${systemdRelease()} and sdrx give way to each other ${ROUNDS} times with ${COUNT} namespaces alive`,
  systemdRelease() < 256 ? { skip: 'this systemd has no such daemon' } : needsVirtualMachine,
  async (t) => {
    // What it has to do with delegated ranges, systemd knows since 260; before, it does not read an entry with them.
    const delegates = systemdRelease() >= 260;
    let made = 0;
    const create = () => {
      const parameters = delegates && made % 5 === 0 ? { delegateContainerRanges: 2 } : {};
      return RegisteredNamespace.create(`change-${made++}`, parameters);
    };
    install('sdrx');
    change('sdrx');
    const alive: RegisteredNamespace[] = [];
    t.teardown(() => {
      for (const namespace of alive) namespace[Symbol.dispose]();
    });
    while (alive.length < COUNT) alive.push(await create());
    const known = () => alive.map(({ inode }) => [inode, JSON.stringify(ranges(inode))]);
    const forgotten = (inode: number) =>
      untilOr(
        LIMIT,
        () => traces(inode).length === 0,
        () => `of ${inode} there still is: ${traces(inode)}`,
        100,
      );

    // Of those that died while systemd served, which before 262 is told only of what it has registered itself since its map is there.
    const dead: number[] = [];
    for (let round = 0; round < 2 * ROUNDS; round++) {
      const provider: Provider = round % 2 === 0 ? 'systemd' : 'sdrx';
      const before = known();
      change(provider);
      t.ok(await isServed(), `${provider} serves`);
      // Before another one may get the number of one that has died.
      for (const inode of dead.splice(0)) await forgotten(inode);
      t.strictSame(known(), before, 'nothing of what is registered is lost');
      alive.push(await create());
      t.strictSame(overlaps(alive), [], 'no id is given twice');
      const [mortal] = alive.splice(0, 1);
      mortal?.[Symbol.dispose]();
      dead.push(mortal?.inode ?? 0);
      t.comment(`${round + 1}: ${provider}`);
      if (provider === 'systemd') continue;
      for (const inode of dead.splice(0)) await forgotten(inode);
      const kept = restricted();
      t.strictSame(
        alive.filter(({ inode }) => !kept.has(inode)).map(({ inode }) => inode),
        [],
        'all of it is restricted',
      );
    }

    for (const namespace of alive.splice(0)) namespace[Symbol.dispose]();
    await untilOr(
      LIMIT,
      () => String(readdirSync(REGISTRY)) === 'lock',
      () => `files are left: ${readdirSync(REGISTRY)}`,
      300,
    );
    t.equal(restricted().size, 0);
    t.equal(property('NFileDescriptorStore'), '0');
  },
);

import { closeSync, openSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { NamespaceLiveness } from '@sdrx/daemon';
import { namespaceId } from '@sdrx/linux';
import t from 'tap';
import { runProgram } from '../support/run-program.js';
import { untilDead } from '../support/user-namespace.js';
import { Inhabitant } from './user-namespace.js';

const self = openSync('/proc/self/ns/user', 'r');
const numbered = namespaceId(self) !== undefined;
closeSync(self);
const skipRoot = process.getuid?.() === 0 ? false : 'needs root';
const skip = skipRoot || (numbered ? false : 'this kernel does not number its namespaces');

const ids = (runtime: string) => `${runtime}/nsresource/namespace-ids`;
const neverScan = () => {
  throw new Error('scanned');
};

t.test('a remembered namespace is alive until it is dead, without a scan', { skip }, async (t) => {
  const runtime = t.testdir();
  const liveness = new NamespaceLiveness(runtime, neverScan);
  const inhabitants = await Promise.all([Inhabitant.start(t, ['--user']), Inhabitant.start(t, ['--user'])]);
  const inodes: number[] = [];
  const numbers: bigint[] = [];
  for (const inhabitant of inhabitants) {
    const fd = inhabitant.open();
    numbers.push(namespaceId(fd) ?? 0n);
    inodes.push(inhabitant.inode);
    liveness.remember(fd, inhabitant.inode);
    closeSync(fd);
  }
  t.same(liveness.dead(inodes), []);
  t.same(
    inodes.map((inode) => readlinkSync(`${ids(runtime)}/i${inode}`)),
    numbers.map(String),
  );
  const [first = 0] = inodes;
  const [dying] = inhabitants;
  if (dying !== undefined) await untilDead(dying.pid, () => dying.end());
  t.same(liveness.dead(inodes), [first], 'asking did not keep it alive');
  t.same(new NamespaceLiveness(runtime, neverScan).dead(inodes), [first], 'another process knows it, too');
});

t.test('tells the very namespace from another one', { skip }, async (t) => {
  const runtime = t.testdir();
  const liveness = new NamespaceLiveness(runtime, neverScan);
  const [first, second] = await Promise.all([Inhabitant.start(t, ['--user']), Inhabitant.start(t, ['--user'])]);
  const [fd, other] = [first.open(), second.open()];
  t.equal(liveness.isSame(fd, first.inode), undefined, 'nothing was remembered');
  liveness.remember(fd, first.inode);
  t.equal(liveness.isSame(fd, first.inode), true);
  t.equal(liveness.isSame(other, first.inode), false);
  liveness.forget(first.inode);
  symlinkSync(String((namespaceId(fd) ?? 0n) - 1n), `${ids(runtime)}/i${first.inode}`);
  t.equal(liveness.isSame(fd, first.inode), false, 'its inode belonged to an earlier one');
  t.same(liveness.dead([first.inode]), [first.inode], 'which is dead');
  liveness.remember(fd, first.inode);
  t.equal(liveness.isSame(fd, first.inode), true, 'remembered in place of that');
  closeSync(fd);
  closeSync(other);
});

t.test('what was not remembered is searched for, once for all', { skip: skipRoot }, async (t) => {
  const inhabitant = await Inhabitant.start(t, ['--user']);
  const { inode } = inhabitant;
  t.same(new NamespaceLiveness(t.testdir()).dead([inode, 1, 2]), [1, 2]);
  await inhabitant.end();
  t.same(new NamespaceLiveness(t.testdir()).dead([inode]), [inode]);
  let scans = 0;
  const liveness = new NamespaceLiveness(t.testdir(), () => {
    scans++;
    return new Set([5]);
  });
  t.same(liveness.dead([5, 6, 7]), [6, 7]);
  t.equal(scans, 1);
  t.same(liveness.dead([]), []);
  t.equal(scans, 1);
});

t.test('who may not look into all processes takes nothing for dead', { skip: skipRoot }, (t) => {
  const program = `
    import { NamespaceLiveness } from '${import.meta.resolve('@sdrx/daemon')}';
    const liveness = new NamespaceLiveness('${t.testdir()}');
    liveness.doubt(3);
    console.log(JSON.stringify([liveness.dead([1, 2]), liveness.forsaken()]));
  `;
  const [drop, ...node] = ['--bounding-set=-sys_ptrace', process.execPath, '--input-type=module', '--eval', program];
  const blind = runProgram('setpriv', [drop, '--inh-caps=-sys_ptrace', ...node]);
  t.strictSame(JSON.parse(blind.output), [[], []]);
  const seeing = runProgram('setpriv', node);
  t.strictSame(JSON.parse(seeing.output), [[1, 2], [3]]);
  t.end();
});

t.test('an id that was tampered with is no id', async (t) => {
  const runtime = t.testdir({ nsresource: { 'namespace-ids': {} } });
  for (const [inode, target] of [
    [5, 'x'],
    [6, '-1'],
    [7, '1'.repeat(21)],
  ] as const) {
    symlinkSync(target, `${ids(runtime)}/i${inode}`);
  }
  t.same(new NamespaceLiveness(runtime, () => new Set([5, 6, 7])).dead([5, 6, 7]), []);
});

t.test('forgets what is released, and all that nobody registered', { skip }, async (t) => {
  const runtime = t.testdir();
  const liveness = new NamespaceLiveness(runtime, neverScan);
  liveness.forget(1);
  liveness.prune([]);
  const inhabitant = await Inhabitant.start(t, ['--user']);
  const fd = inhabitant.open();
  const before = readdirSync('/proc/self/fd').length;
  for (const inode of [1, 2, 3]) liveness.remember(fd, inode);
  symlinkSync('5', `${ids(runtime)}/.#99-7`);
  liveness.forget(1);
  t.same(readdirSync(ids(runtime)).sort(), ['.#99-7', 'i2', 'i3']);
  liveness.prune([3, 4]);
  t.same(readdirSync(ids(runtime)), ['i3']);
  t.equal(readdirSync('/proc/self/fd').length, before);
  closeSync(fd);
});

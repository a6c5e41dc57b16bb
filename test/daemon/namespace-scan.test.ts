import { closeSync, readdirSync, statSync } from 'node:fs';
import { liveUserNamespaces as search } from '@sdrx/daemon';
import { namespaceInode, parentNamespace } from '@sdrx/linux';
import t from 'tap';
import { untilOr } from '../support/until.js';
import { workedOff } from '../support/worked-off.js';
import { Inhabitant } from './user-namespace.js';

const skip = process.getuid?.() === 0 ? false : 'needs root';

const liveUserNamespaces = () => workedOff(search());

function ownInode(): number {
  return statSync('/proc/self/ns/user').ino;
}

/** Not at once: the kernel frees some namespaces when it finds the time. */
function gone(inode: number, kind = 'process'): Promise<void> {
  return untilOr(
    10_000,
    () => !liveUserNamespaces().has(inode),
    () => `found without a ${kind}`,
  );
}

t.test('finds the namespace that a process is in, until the process ends', { skip }, async (t) => {
  const inhabitant = await Inhabitant.start(t, ['--user']);
  const { inode } = inhabitant;
  t.ok(liveUserNamespaces().has(inode));
  t.ok(liveUserNamespaces().has(ownInode()), 'and our own');
  await inhabitant.end();
  await gone(inode);
});

t.test('finds one that only a descriptor stands for', { skip }, async (t) => {
  const inhabitant = await Inhabitant.start(t, ['--user']);
  const { inode } = inhabitant;
  const fd = inhabitant.open();
  await inhabitant.end();
  t.ok(liveUserNamespaces().has(inode));
  closeSync(fd);
  await gone(inode);
});

t.test('finds one that only owns a namespace that a descriptor stands for', { skip }, async (t) => {
  for (const [option, kind] of [
    ['--net', 'net'],
    ['--mount', 'mnt'],
    ['--uts', 'uts'],
  ] as const) {
    const inhabitant = await Inhabitant.start(t, ['--user', '--map-root-user', option]);
    const { inode } = inhabitant;
    const fd = inhabitant.open(kind);
    await inhabitant.end();
    t.ok(liveUserNamespaces().has(inode), kind);
    closeSync(fd);
    await gone(inode, kind);
  }
});

t.test('finds one that is only the parent of another', { skip }, async (t) => {
  const inhabitant = await Inhabitant.start(t, ['--user', '--map-root-user', 'unshare', '--user', '--map-root-user']);
  const fd = inhabitant.open();
  using parent = parentNamespace(fd);
  const inode = namespaceInode(parent.number);
  parent.close();
  await inhabitant.end();
  t.ok(liveUserNamespaces().has(inode));
  closeSync(fd);
  await gone(inode);
});

t.test('finds one that is only mounted, in a mount namespace where nobody has it open', { skip }, async (t) => {
  for (const [options, kind] of [
    [['--user'], 'user'],
    [['--user', '--map-root-user', '--net'], 'net'],
  ] as const) {
    const place = `${t.testdir({ 'a place': '' })}/a place`;
    const inhabitant = await Inhabitant.start(t, [...options]);
    const { inode } = inhabitant;
    const mount = `mount --bind /proc/${inhabitant.pid}/ns/${kind} '${place}'`;
    const host = await Inhabitant.start(t, ['--mount'], mount);
    await inhabitant.end();
    t.ok(liveUserNamespaces().has(inode), kind);
    await host.end();
    await gone(inode, kind);
  }
});

t.test('leaves no descriptor, while processes come and go', { skip }, async (t) => {
  const before = readdirSync('/proc/self/fd').length;
  const coming = Array.from({ length: 10 }, () => Inhabitant.start(t, ['--user']));
  for (let round = 0; round < 20; round++) liveUserNamespaces();
  const inhabitants = await Promise.all(coming);
  const going = inhabitants.map((inhabitant) => inhabitant.end());
  for (let round = 0; round < 20; round++) liveUserNamespaces();
  await Promise.all(going);
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(readdirSync('/proc/self/fd').length, before);
});

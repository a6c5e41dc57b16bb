import { openSync } from 'node:fs';
import { release } from 'node:os';
import { EventLoop } from '@sdrx/event';
import { Fd, namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { isNamed } from '../../e2e/vm/machine.js';
import { install, needsMachine, place } from '../enforced.js';
import { wrongAnswers } from './answers.js';
import { ENVIRONMENTS } from './environments.js';
import { openWays, wrongInodes } from './inodes.js';
import type { Kernel } from './linux.js';
import { prepare, tryAll } from './matrix.js';
import type { Lacks } from './rule.js';
import { compare, SystemdPrograms, whyNoSystemd } from './systemd.js';
import { USERS } from './users.js';

// The machine is slow.
t.setTimeout(600_000);

const [major = 0, minor = 0] = release().split('.').map(Number);
const kernel: Kernel = { major, minor };

/** What a kernel lacks, by what the program says of itself. */
function lacksOf(omissions: readonly string[]): Lacks {
  const says = (what: string) => omissions.some((omission) => omission.includes(what));
  return { idmaps: says('how mounts map ids'), overlays: says('does not describe overlayfs') };
}

/** The inodes of the namespaces that are to be registered, and of those of them that are denied setgroups(2). */
function inodesOf(pids: ReadonlyMap<string, number>): [registered: number[], denied: number[]] {
  const inodes = (users: typeof USERS) =>
    users.map(({ name }) => {
      using fd = new Fd(openSync(`/proc/${pids.get(name)}/ns/user`, 'r'));
      return namespaceInode(fd.number);
    });
  return [
    inodes(USERS.filter(({ registered }) => registered)),
    inodes(USERS.filter(({ deniesSetgroups }) => deniesSetgroups)),
  ];
}

async function timed(t: Test, ...all: Parameters<typeof tryAll>): ReturnType<typeof tryAll> {
  const start = performance.now();
  const [outcomes, remnants] = await tryAll(...all);
  t.comment(`${outcomes.length} cells in ${Math.round((performance.now() - start) / 1000)} s`);
  return [outcomes, remnants];
}

t.test('attempts, mounts and namespaces, each with each', needsMachine, async (t) => {
  using loop = new EventLoop();
  const [restrict, log] = install(t, loop, place(t));
  t.comment(log.join('; '));
  const [program, pids] = await prepare();
  t.teardown(() => program[Symbol.asyncDispose]());
  const [registered, denied] = inodesOf(pids);

  const unlessNamed =
    !isNamed &&
    'forty seconds: it is run when it is asked for by its path. That nobody else is concerned others test, too';
  await t.test('where nothing is registered all is as in any Linux', { skip: unlessNamed }, async (t) => {
    const environments = ENVIRONMENTS.filter(({ isLikeAnother }) => !isLikeAnother);
    const [outcomes, remnants] = await timed(t, program, environments);
    t.ok(outcomes.length >= 300);
    t.strictSame(wrongAnswers(outcomes, kernel, undefined), []);
    t.strictSame(wrongInodes(outcomes, remnants, kernel, false), []);
  });

  for (const inode of registered) restrict.putInode(inode);
  for (const inode of denied) restrict.denySetgroups(inode);
  const [ours, remnants] = await timed(t, program);
  restrict.reset(...registered, ...denied);

  await t.test('registered, each is refused what the rule says, and nothing else', async (t) => {
    t.strictSame(wrongAnswers(ours, kernel, lacksOf(restrict.omissions)), []);
  });

  await t.test('no lent id is where it outlives its namespace, but for what is known to be open', async (t) => {
    t.strictSame(wrongInodes(ours, remnants, kernel, true), []);
    for (const [reason, count] of openWays(ours)) t.comment(`open, in ${count} cells: ${reason}`);
  });

  const why = whyNoSystemd();
  await t.test("systemd's own programs answer the same", why === undefined ? {} : { skip: why }, async (t) => {
    using systemd = await SystemdPrograms.start();
    systemd.register(registered, denied);
    const [theirs] = await timed(t, program);
    const [unexplained, explained] = compare(ours, theirs);
    for (const [reason, count] of explained) t.comment(`differs in ${count} cells: ${reason}`);
    t.strictSame(unexplained, []);
  });
});

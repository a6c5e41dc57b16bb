import { spawnSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { MemoryAtRest, releaseMemory } from '@sdrx/daemon';
import { VirtualLoop } from '@sdrx/event/testing';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { privateDirty } from '../support/private-dirty.js';

/** By when memory is given back at rest, in milliseconds. */
const LONGEST = 121_000;
const WORTH = 1000;

/** Runs a body with something that gives memory back, and how often it has. */
function withMemory(body: (memory: MemoryAtRest, loop: VirtualLoop, times: () => number) => Promise<void>) {
  return leavingNothing(async (_t: Test) => {
    using loop = new VirtualLoop();
    let times = 0;
    const memory = new MemoryAtRest(loop, () => {
      times++;
    });
    const finished = loop.run(memory.run);
    await loop.settle();
    await body(memory, loop, () => times);
    loop.exit();
    await loop.settle();
    await finished;
  });
}

function tell(memory: MemoryAtRest, count: number): void {
  for (let told = 0; told < count; told++) memory.tell();
}

t.test('memory is given back once after the start, when nothing has happened for a while', (t) =>
  withMemory(async (_memory, loop, times) => {
    await loop.advance(59_000);
    t.equal(times(), 0);
    await loop.advance(LONGEST);
    t.equal(times(), 1);
    await loop.advance(3_600_000);
    t.equal(times(), 1, 'and not again');
  })(t),
);

t.test('not as long as something happens', (t) =>
  withMemory(async (memory, loop, times) => {
    for (let round = 0; round < 20; round++) {
      await loop.advance(25_000);
      memory.tell();
    }
    t.equal(times(), 0);
    await loop.advance(2 * LONGEST);
    t.equal(times(), 1);
  })(t),
);

t.test('again after many events only', (t) =>
  withMemory(async (memory, loop, times) => {
    await loop.advance(LONGEST);
    tell(memory, WORTH - 1);
    await loop.advance(2 * LONGEST);
    t.equal(times(), 1);
    tell(memory, 1);
    await loop.advance(2 * LONGEST);
    t.equal(times(), 2);
    tell(memory, 5 * WORTH);
    await loop.advance(2 * LONGEST);
    t.equal(times(), 3);
  })(t),
);

/** @returns how much memory this process has when it has used most */
function waste(): number {
  const objects = Array.from({ length: 1_000_000 }, (_, index) => ({ index }));
  return objects.length > 0 ? privateDirty(process.pid) : 0;
}

t.test('what a process gives back is the kernel’s', async (t) => {
  releaseMemory();
  const before = privateDirty(process.pid);
  const most = waste();
  await setTimeout(10);
  releaseMemory();
  const after = privateDirty(process.pid);
  t.ok(after - before < (most - before) / 2, `${before}, ${most}, ${after} kB`);
});

t.test('Node says nothing about it', async (t) => {
  const program = `
    import { releaseMemory } from '@sdrx/daemon';
    const { emitWarning } = process;
    releaseMemory();
    process.exitCode = process.emitWarning === emitWarning ? 0 : 1;`;
  const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  t.same({ stderr, status }, { stderr: '', status: 0 });
});

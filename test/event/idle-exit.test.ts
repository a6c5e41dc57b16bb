import { createServer } from 'node:net';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { aimAtIdleExits } from './aim-at-idle-exits.js';

// With its first stream libuv opens a descriptor for itself.
createServer().listen(0).close();

t.setTimeout(240_000);

t.test(
  'each of those who connect when a service leaves is answered',
  leavingNothing(async (t) => {
    for (const family of ['unix', 'tcp'] as const) {
      const { lost, lives, metLeaving, stays } = await aimAtIdleExits(150, 'often', family);
      t.strictSame(lost, []);
      t.comment(`${family}: ${lives} lives, ${metLeaving} connected to one that left, ${stays} times it stayed`);
      t.ok(metLeaving > 0 && lives > 10);
    }
  }),
);

t.test(
  'also where each life is a process',
  leavingNothing(async (t) => {
    const { lost, lives } = await aimAtIdleExits(20, 'once', 'tcp');
    t.strictSame(lost, []);
    t.ok(lives > 1);
  }),
);

import t from 'tap';
import { aimAtIdleExits } from '../event/aim-at-idle-exits.js';

t.setTimeout(3_600_000);

for (const [tries, how, family] of [
  [5000, 'often', 'unix'],
  [5000, 'often', 'tcp'],
  [300, 'once', 'unix'],
  [300, 'once', 'tcp'],
] as const) {
  const process = how === 'once' ? 'a process a life' : 'one process, many lives';
  t.test(`each of ${tries} who connect when a service leaves is answered: ${family}, ${process}`, async (t) => {
    const { lost, lives, metLeaving, stays } = await aimAtIdleExits(tries, how, family);
    t.strictSame(lost, []);
    t.comment(`${lives} lives, ${metLeaving} connected to one that left, ${stays} times it stayed`);
    t.ok(metLeaving >= tries / 100);
  });
}

import type { TimeEvent } from '@sdrx/event';
import { now } from '@sdrx/linux';
import { firstValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { needsAlarms, needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { onLoop } from './on-loop.js';

const ALARM_CLOCKS = ['realtime-alarm', 'boottime-alarm'] as const;

for (const clock of ALARM_CLOCKS) {
  t.test(
    `the ${clock} clock's timers come once and repeatedly, never early`,
    needsAlarms,
    onLoop(async (t, loop) => {
      const early: TimeEvent[] = [];
      const note = (event: TimeEvent): void => {
        if (event.now < event.scheduled) early.push(event);
      };
      const at = now(clock) + 5;
      const once = await firstValueFrom(loop.time({ clock, at }));
      note(once);
      t.match(once, { clock, scheduled: at });
      const passed = await firstValueFrom(loop.time({ clock, at: 0 }));
      t.equal(passed.scheduled, 0);
      const repeated = await firstValueFrom(loop.time({ clock, after: 0, every: 2 }).pipe(take(10), toArray()));
      repeated.forEach(note);
      t.equal(new Set(repeated.map(({ scheduled }) => scheduled)).size, 10);
      t.strictSame(early, []);
      loop
        .time({ clock, after: 3_600_000 })
        .subscribe(() => t.fail('in an hour'))
        .unsubscribe();
    }),
  );
}

t.test('without CAP_WAKE_ALARM a timer on an alarm clock fails with EPERM, which names the clock', needsRoot, (t) => {
  const program = programPath('./programs/alarm-clocks.js', import.meta.url);
  const { output } = runNode([program], ['setpriv', '--bounding-set=-wake_alarm', '--inh-caps=-wake_alarm']);
  const ends: string[][] = JSON.parse(output);
  t.strictSame(
    ends.map(([clock, code]) => [clock, code]),
    ALARM_CLOCKS.toSorted().map((clock) => [clock, 'EPERM']),
  );
  for (const [clock = '', , text = ''] of ends) t.match(text, new RegExp(`timerfd_create.*${clock}`));
  t.end();
});

import type { EventLoop } from '@sdrx/event';
import { bool, field, type Implementation, implement, int, optional, string, varlinkInterface } from '@sdrx/varlink';
import { ignoreElements, startWith, tap } from 'rxjs';

const zone = optional(string, 'Such as Europe/Berlin; by default UTC');
const reading = {
  time: field(string, 'There, such as 2026-11-26T18:30:00+01:00'),
  seconds: field(int, 'Since 1970'),
};

/** What time it is, anywhere. */
const clock = varlinkInterface({
  name: 'org.example.clock',
  description: 'Tells the time.',
  methods: {
    Now: { description: 'What time it is.', parameters: { zone }, reply: reading },
    Watch: {
      description: 'What time it is, now and at each full minute, or second.',
      more: 'required',
      parameters: { zone, seconds: optional(bool) },
      reply: { ...reading, tick: field(int, 'How many there were before') },
    },
  },
  errors: { UnknownZone: { description: 'There is no such time zone.', fields: { zone: field(string) } } },
});

/** Answers its calls. A watch ends with its client. */
export function clockService(loop: EventLoop): Implementation {
  return implement(clock, {
    Now: ({ zone }) => read(zone),
    Watch: ({ zone, seconds }, call) => {
      read(zone);
      let tick = 0;
      const every = seconds === true ? 1000 : 60_000;
      const at = Math.ceil(loop.now('realtime') / every) * every;
      const ticks = loop.time({ clock: 'realtime', at, every, description: 'a client watches the clock' });
      return ticks.pipe(
        startWith(undefined),
        // At once; what the Observable emits itself would wait for the next tick, as it may be the last.
        tap({ next: () => call.notify({ ...read(zone), tick: tick++ }) }),
        ignoreElements(),
      );
    },
  });
}

/** Throws UnknownZone. */
function read(zone = 'UTC'): { time: string; seconds: number } {
  const now = Date.now();
  return { time: format(zone, now), seconds: Math.floor(now / 1000) };
}

function format(timeZone: string, now: number): string {
  const part = { day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
  try {
    const local = new Intl.DateTimeFormat('sv-SE', { ...part, year: 'numeric', month: '2-digit', timeZone });
    const offset = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
      .formatToParts(now)
      .find(({ type }) => type === 'timeZoneName');
    return local.format(now).replace(' ', 'T') + (offset?.value.slice('GMT'.length) || '+00:00');
  } catch (error) {
    if (error instanceof RangeError) throw clock.errors.UnknownZone({ zone: timeZone });
    throw error;
  }
}

/**
 * What must not compile, and with which error. Never run: the build fails if a line does compile, and types.test.ts looks
 * at the errors themselves.
 */
import { type EventLoop, exitOnSignal, journal, listenFds, notify, watchdog } from '@sdrx/event';
import { of } from 'rxjs';

export function wrongSources(loop: EventLoop): void {
  // @ts-expect-error TS2345: a number or an Fd
  loop.io('3');
  // @ts-expect-error TS2322: a mask
  loop.io(0, { events: 'in' });
  // @ts-expect-error TS2322: of masks
  loop.io(0, { events: of('in') });
  // @ts-expect-error TS2322: yes or no
  loop.io(0, { own: 1 });
  // @ts-expect-error TS2353: that is inotify's
  loop.io(0, { mask: 1 });

  // @ts-expect-error TS2554: when?
  loop.time();
  // @ts-expect-error TS2322: no such clock
  loop.time({ after: 1, clock: 'wall' });
  // @ts-expect-error TS2322: milliseconds
  loop.time({ every: '1s' });
  // @ts-expect-error TS2353: milliseconds need no unit
  loop.time({ seconds: 1 });
  // @ts-expect-error TS2345: when?
  loop.time({ accuracy: 1 });
  // @ts-expect-error TS2345: one of them
  loop.time({ after: 1, at: 1 });

  // @ts-expect-error TS2345: no such signal
  loop.signal('SIGFOO');
  // @ts-expect-error TS2345: below the first
  loop.signal('SIGRTMIN-1');
  // @ts-expect-error TS2345: one at a time
  loop.signal(['SIGTERM', 'SIGINT']);

  // @ts-expect-error TS2769: a process, not its program
  loop.child('sleep');
  // @ts-expect-error TS2769: its pidfd is missing
  loop.child({ pid: 1 });
  // @ts-expect-error TS2769: yes or no
  loop.child(1, { stopped: 'SIGSTOP' });

  // @ts-expect-error TS2345: a path or a descriptor
  loop.inotify(new URL('file:///etc'));
  // @ts-expect-error TS2353: that is io's
  loop.inotify('/etc', { events: 1 });

  // @ts-expect-error TS2322: yes or no
  loop.defer({ repeat: 1 });
  // @ts-expect-error TS2353: always
  loop.post({ repeat: true });
  // @ts-expect-error TS2353: run takes no code from here
  loop.exiting({ code: 1 });
  // @ts-expect-error TS2322: some or full
  loop.memoryPressure({ type: 'most' });
}

export function wrongOptionsOfEverySource(loop: EventLoop): void {
  // @ts-expect-error TS2322: a number
  loop.defer({ priority: 'high' });
  // @ts-expect-error TS2322: a text
  loop.defer({ description: 1 });
  // @ts-expect-error TS2322: a boolean or a code
  loop.defer({ exitOnFailure: 'yes' });
  // @ts-expect-error TS2322: an Observable of numbers
  loop.defer({ priority: of('high') });
  // @ts-expect-error TS2322: a function
  loop.defer({ prepare: of(1) });
  // @ts-expect-error TS2741: how many?
  loop.defer({ ratelimit: { interval: 1000 } });
  // @ts-expect-error TS2322: milliseconds
  loop.defer({ ratelimit: { interval: '1s', burst: 1 } });
  // @ts-expect-error TS2322: an Observable
  loop.defer({ ratelimit: { interval: 1000, burst: 1, leave: () => true } });
  // @ts-expect-error TS2353: sources are turned off by unsubscription
  loop.defer({ enabled: false });
}

export function wrongLoop(loop: EventLoop): void {
  // @ts-expect-error TS2345: an Observable
  void loop.run(async () => undefined);
  // @ts-expect-error TS2345: a number
  loop.exit('failure');
  // @ts-expect-error TS2345: no such clock
  loop.now('wall');
  // @ts-expect-error TS2540: to be read only
  loop.iteration = 0;
  // @ts-expect-error TS2367: no such state
  if (loop.state === 'stopped') loop.exit();
}

export function wrongUseOfEvents(loop: EventLoop): void {
  loop.io(0).subscribe((event) => {
    // @ts-expect-error TS2540: to be read only
    event.revents = 0;
  });
  // @ts-expect-error TS2367: not asked for
  loop.child(1).subscribe(({ code }) => code === 'stopped');
}

export function wrongService(loop: EventLoop): void {
  // @ts-expect-error TS2561: by the names of sd_notify(3)
  notify({ ready: 1 });
  // @ts-expect-error TS2322: 1 it is
  notify({ READY: true });
  // @ts-expect-error TS2322: no such access
  notify({ NOTIFYACCESS: 'some' });
  // @ts-expect-error TS2322: a text
  notify({ X_OWN: 5 });
  // @ts-expect-error TS2353: its own begin with X_
  notify({ OWN: 'text' });
  // @ts-expect-error TS2554: on which loop?
  watchdog();
  // @ts-expect-error TS2322: no such signal
  exitOnSignal(loop, ['TERM']);
  // @ts-expect-error TS2345: an environment
  listenFds(3);
}

export function wrongEntries(): void {
  // @ts-expect-error TS2353: capital letters only
  journal.info('x', { door: 'front' });
  // @ts-expect-error TS2353: no objects
  journal.info('x', { DOOR: { side: 'front' } });
}

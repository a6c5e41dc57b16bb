import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import {
  type EventLoop,
  EventLoop as Loop,
  type Program,
  type ProgramEnded,
  StartLimit,
  type SuperviseOptions,
  type SupervisionEvent,
  supervise,
} from '@sdrx/event';
import { O_NONBLOCK, WEXITED, waitPid } from '@sdrx/linux';
import { EMPTY, filter, lastValueFrom, NEVER, of, Subject, take, takeWhile, tap, toArray } from 'rxjs';
import t from 'tap';
import { children } from '../support/children.js';
import { Folder } from '../support/folder.js';
import { kernelIs } from '../support/kernel.js';
import { openFds } from '../support/nothing-left.js';
import { untilOr } from '../support/until.js';
import { onLoop } from './on-loop.js';

const { SIGKILL, SIGTERM, SIGUSR1 } = constants.signals;
/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

function shell(script: string, ...args: string[]): Program {
  return { file: 'sh', args: ['-c', script, 'sh', ...args] };
}

/** All that becomes of a program. */
function all(loop: EventLoop, program: Program, options: SuperviseOptions = {}): Promise<SupervisionEvent[]> {
  return lastValueFrom(supervise(loop, program, options).pipe(toArray()));
}

function ends(events: readonly SupervisionEvent[]): ProgramEnded[] {
  return events.filter((event) => event.type === 'ended');
}

function texts(events: readonly SupervisionEvent[], stream = 'stdout'): string[] {
  return events.flatMap((event) => (event.type === 'line' && event.stream === stream ? event.text : []));
}

function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
}

function whenRunning(name: string, pid: string): Promise<void> {
  const isIt = () => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
  return untilOr(LIMIT, isIt, () => `process ${pid} is not ${name}`);
}

t.test(
  'a start, the lines, the end with its cause, and what follows are told, in this order',
  onLoop(async (t, loop) => {
    const events = await all(loop, shell('echo out; echo err >&2; exit 3'), { restart: 'never' });
    t.strictSame(
      events.map(({ type }) => type),
      ['started', 'line', 'line', 'ended', 'done'],
    );
    const [started] = events;
    const pid = started?.type === 'started' ? started.pid : 0;
    t.ok(pid > 0);
    t.strictSame(
      events
        .filter(({ type }) => type === 'line')
        .sort(
          (a, b) => Number('stream' in a && a.stream === 'stderr') - Number('stream' in b && b.stream === 'stderr'),
        ),
      [
        { type: 'line', pid, attempt: 1, stream: 'stdout', text: 'out', cut: false },
        { type: 'line', pid, attempt: 1, stream: 'stderr', text: 'err', cut: false },
      ],
    );
    t.match(events.at(-2), {
      type: 'ended',
      pid,
      attempt: 1,
      code: 'exited',
      status: 3,
      cause: 'exit',
      forced: false,
      success: false,
      stable: false,
      outputLeft: false,
      error: undefined,
    });
    t.strictSame(events.at(-1), { type: 'done', attempts: 1, success: false });
    t.strictSame(children(), []);
  }),
);

t.test(
  'it is started again as systemd would',
  onLoop(async (t, loop) => {
    const backoff = { first: 1 };
    const starts = async (script: string, options: SuperviseOptions) => {
      const limit = new StartLimit({ starts: 3, interval: LIMIT });
      const events = await all(loop, shell(script), { backoff, limit, ...options });
      return [ends(events).length, events.at(-1)?.type];
    };
    t.strictSame(await starts('exit 0', {}), [3, 'gave-up']);
    t.strictSame(await starts('exit 1', {}), [3, 'gave-up']);
    t.strictSame(await starts('exit 0', { restart: 'on-failure' }), [1, 'done']);
    t.strictSame(await starts('exit 1', { restart: 'on-failure' }), [3, 'gave-up']);
    t.strictSame(await starts('exit 7', { restart: 'on-failure', success: [0, 7] }), [1, 'done']);
    t.strictSame(await starts('exit 0', { restart: 'on-failure', success: [7] }), [3, 'gave-up']);
    t.strictSame(await starts('kill -TERM $$', { restart: 'on-failure' }), [1, 'done']);
    t.strictSame(await starts('kill -USR1 $$', { restart: 'on-failure' }), [3, 'gave-up']);
    t.strictSame(await starts('kill -USR1 $$', { restart: 'on-failure', success: ['SIGUSR1'] }), [1, 'done']);
    t.strictSame(await starts('exit 1', { restart: 'never' }), [1, 'done']);
  }),
);

t.test(
  'a signal that came from elsewhere is its cause',
  onLoop(async (t, loop) => {
    const [end] = ends(await all(loop, shell('kill -USR1 $$'), { restart: 'never' }));
    t.match(end, { code: 'killed', status: SIGUSR1, cause: 'signal', forced: false, success: false });
  }),
);

t.test(
  'where somebody else has waited for it, nobody knows how it ended',
  onLoop(async (t, loop) => {
    const program$ = supervise(loop, shell('exit 3'), { restart: 'on-failure', backoff: { first: LIMIT } });
    const events = await lastValueFrom(
      program$.pipe(
        tap((event) => event.type === 'started' && waitPid(event.pid, WEXITED)),
        takeWhile((event) => event.type !== 'waiting'),
        toArray(),
      ),
    );
    t.match(ends(events), [{ code: undefined, status: undefined, cause: 'unknown', success: false }]);
  }),
);

t.test(
  'a program that can not be started fails, and is tried again',
  onLoop(async (t, loop) => {
    const limit = new StartLimit({ starts: 2, interval: LIMIT });
    const events = await all(loop, { file: '/nonexistent' }, { limit, backoff: { first: 1 } });
    t.strictSame(
      events.map(({ type }) => type),
      ['ended', 'waiting', 'ended', 'waiting', 'gave-up'],
    );
    t.match(ends(events)[1], { attempt: 2, pid: undefined, cause: 'spawn-failed', error: { code: 'ENOENT' } });
    t.strictSame(events.at(-1), { type: 'gave-up', attempts: 2, success: false });
  }),
);

t.test(
  'delays grow up to the longest, and are told',
  onLoop(async (t, loop) => {
    const backoff = { first: 2, factor: 3, most: 15 };
    const limit = new StartLimit({ starts: 5, interval: LIMIT });
    const events = await all(loop, { file: 'true' }, { limit, backoff });
    const waits = events.flatMap((event) =>
      event.type === 'waiting' ? [[event.delay, event.attempt, event.reason]] : [],
    );
    t.strictSame(waits, [
      [2, 2, 'backoff'],
      [6, 3, 'backoff'],
      [15, 4, 'backoff'],
      [15, 5, 'backoff'],
      [15, 6, 'backoff'],
    ]);
  }),
);

t.test(
  'a stable run begins them anew',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    // Its third run takes long.
    const script = 'echo >>$1; test $(wc -l <$1) != 3 || sleep 0.3';
    const limit = new StartLimit({ starts: 5, interval: LIMIT });
    const backoff = { first: 1, factor: 10, stableAfter: 300 };
    const events = await all(loop, shell(script, folder.join('starts')), { limit, backoff });
    const delays = events.flatMap((event) => (event.type === 'waiting' ? event.delay : []));
    const stable = ends(events).map((end) => end.stable);
    t.strictSame(stable.slice(2, 3), [true]);
    // Others are stable, too, where the machine is very slow.
    let expected = 0;
    t.strictSame(
      delays,
      stable.map((was) => (expected = was || expected === 0 ? 1 : expected * 10)),
    );
  }),
);

t.test(
  'several share a limit; who meets it gives up, or waits',
  onLoop(async (t, loop) => {
    const limit = new StartLimit({ starts: 5, interval: LIMIT });
    const backoff = { first: 1, factor: 1 };
    const both = await Promise.all([1, 2].map(() => all(loop, { file: 'true' }, { limit, backoff })));
    t.equal(both.flatMap(ends).length, 5);
    t.strictSame(
      both.map((events) => events.at(-1)?.type),
      ['gave-up', 'gave-up'],
    );

    const short = new StartLimit({ starts: 2, interval: 100 });
    const begun = loop.now();
    const program$ = supervise(loop, { file: 'true' }, { limit: short, atLimit: 'wait', backoff: { first: 0 } });
    const started = program$.pipe(
      filter(({ type }) => type === 'started' || type === 'waiting'),
      take(8),
      toArray(),
    );
    const types = (await lastValueFrom(started)).map((event) => (event.type === 'waiting' ? event.reason : event.type));
    t.strictSame(types.slice(0, 4), ['started', 'started', 'start-limit', 'started']);
    t.ok(loop.now() - begun >= 200, 'of five starts the last is two intervals after the first');
  }),
);

t.test(
  'a program is asked to end by a signal, and its group, too',
  onLoop(async (t, loop) => {
    const stop = new Subject<void>();
    const script = 'trap "echo bye; exit 5" TERM; sleep 1000 & echo $!; wait';
    const program$ = supervise(loop, shell(script), { stop: { on: stop } });
    const events = await lastValueFrom(
      program$.pipe(
        tap((event) => {
          // Until it is the other program, it has the shell's trap.
          if (event.type === 'line' && event.text !== 'bye') whenRunning('sleep', event.text).then(() => stop.next());
        }),
        toArray(),
      ),
    );
    const [sleeper, bye] = texts(events);
    t.equal(bye, 'bye', 'it may say something yet');
    t.match(ends(events), [{ code: 'exited', status: 5, cause: 'stop', forced: false, outputLeft: false }]);
    t.strictSame(events.at(-1), { type: 'stopped', attempts: 1, success: false });
    t.notOk(runs(Number(sleeper)), 'the group has ended');
  }),
);

t.test(
  'the stop signal may be another one, and it reaches a program that is stopped',
  onLoop(async (t, loop) => {
    const stop = new AbortController();
    const script = 'trap "exit 6" USR1; echo; kill -STOP $$; while :; do sleep 0.01; done';
    const program$ = supervise(loop, shell(script), { stop: { on: stop.signal, signal: 'SIGUSR1' } });
    const stopped = (pid: number) => /^State:\s*T/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
    const events = await lastValueFrom(
      program$.pipe(
        tap((event) => {
          if (event.type === 'started')
            untilOr(
              LIMIT,
              () => stopped(event.pid),
              () => 'it does not stop',
            ).then(() => stop.abort());
        }),
        toArray(),
      ),
    );
    t.match(ends(events), [{ code: 'exited', status: 6, cause: 'stop' }]);
  }),
);

t.test(
  'one that ignores the signal is killed at the deadline, or when it is asked for again',
  onLoop(async (t, loop) => {
    for (const [deadline, again] of [
      [50, false],
      [Infinity, true],
      [LIMIT, true],
    ] as const) {
      const stop = new Subject<void>();
      const script = 'trap "" TERM; sleep 1000 & echo $!; wait; wait; sleep 1000';
      const program$ = supervise(loop, shell(script), { stop: { on: stop, deadline } });
      const events = await lastValueFrom(
        program$.pipe(
          tap((event) => {
            if (event.type !== 'line') return;
            stop.next();
            if (again) stop.next();
          }),
          toArray(),
        ),
      );
      t.match(ends(events), [{ code: 'killed', status: SIGKILL, cause: 'stop', forced: true, success: false }]);
      t.equal(events.at(-1)?.type, 'stopped');
      const [sleeper] = texts(events).map(Number);
      await untilOr(
        LIMIT,
        () => !runs(sleeper ?? 0),
        () => 'the group is not killed',
      );
    }
  }),
);

t.test(
  'it is stopped while it waits, before it began, and in the midst of being told',
  onLoop(async (t, loop) => {
    const program: Program = { file: 'true' };
    const aborted = { on: AbortSignal.abort() };
    t.strictSame(await all(loop, program, { stop: aborted }), [{ type: 'stopped', attempts: 0, success: true }]);
    for (const type of ['started', 'ended', 'waiting'] as const) {
      const stop = new Subject<void>();
      const program$ = supervise(loop, program, { stop: { on: stop }, backoff: { first: LIMIT } });
      const events = await lastValueFrom(
        program$.pipe(
          tap((event) => event.type === type && stop.next()),
          toArray(),
        ),
      );
      t.equal(events.at(-1)?.type, 'stopped', type);
      t.equal(ends(events).length, 1, type);
    }
    const stop = new Subject<void>();
    const made = (): Program => {
      stop.next();
      return program;
    };
    t.strictSame(
      (await lastValueFrom(supervise(loop, made, { stop: { on: stop } }).pipe(toArray()))).map(({ type }) => type),
      ['stopped'],
    );
  }),
);

t.test(
  'to unsubscribe ends it at once, group and all, wherever it stands',
  onLoop(async (t, loop) => {
    const script = 'trap "" TERM; sleep 1000 & echo $!; wait; sleep 1000';
    let sleeper = 0;
    for (const type of ['started', 'line'] as const) {
      const program$ = supervise(loop, shell(script)).pipe(
        tap((event) => {
          if (event.type === 'line') sleeper = Number(event.text);
        }),
        filter((event) => event.type === type),
        take(1),
      );
      await lastValueFrom(program$);
      t.strictSame(children(), [], type);
    }
    await untilOr(
      LIMIT,
      () => !runs(sleeper),
      () => 'the group is not killed',
    );
    for (const type of ['ended', 'waiting'] as const) {
      const program$ = supervise(loop, { file: 'true' }).pipe(
        filter((event) => event.type === type),
        take(1),
      );
      await lastValueFrom(program$);
      t.strictSame(children(), [], type);
    }
    supervise(loop, { file: 'true' }).subscribe().unsubscribe();
    t.strictSame(children(), [], 'not started yet');
  }),
);

t.test('the end of the loop ends it', async (t) => {
  using loop = new Loop();
  const program$ = supervise(loop, { file: 'sleep', args: ['1000'] });
  await loop.run(program$.pipe(tap(() => loop.exit())));
  t.strictSame(children(), []);
  await t.rejects(lastValueFrom(program$), { code: 'ESTALE' });
});

t.test(
  'what it leaves behind in its group ends before it is started again',
  onLoop(async (t, loop) => {
    const leaves = 'sleep 1000 & echo $!; exit 4';
    const events = await all(loop, shell(leaves), { restart: 'never' });
    t.match(ends(events), [{ code: 'exited', status: 4, cause: 'exit', forced: false, outputLeft: false }]);
    t.notOk(runs(Number(texts(events)[0])));

    const stubborn = "trap '' TERM; sleep 1000 & echo $!; exit 4";
    const forced = await all(loop, shell(stubborn), { restart: 'never', stop: { deadline: 50 } });
    // An older kernel can't tell it anything but SIGKILL, at once.
    t.match(ends(forced), [{ status: 4, cause: 'exit', forced: kernelIs(6, 9), outputLeft: false }]);
    await untilOr(
      LIMIT,
      () => !runs(Number(texts(forced)[0])),
      () => 'it is not killed',
    );
  }),
);

t.test(
  'without a group only the program itself is told',
  onLoop(async (t, loop) => {
    const events = await all(loop, shell('sleep 1000 >/dev/null 2>&1 & echo $!'), {
      restart: 'never',
      processGroup: false,
    });
    const sleeper = Number(texts(events)[0]);
    t.ok(runs(sleeper));
    process.kill(sleeper, 'SIGKILL');
    const stop = new Subject<void>();
    const program$ = supervise(loop, { file: 'sleep', args: ['1000'] }, { processGroup: false, stop: { on: stop } });
    const stopped = await lastValueFrom(
      program$.pipe(
        tap(({ type }) => type === 'started' && stop.next()),
        toArray(),
      ),
    );
    t.match(ends(stopped), [{ code: 'killed', status: SIGTERM, cause: 'stop', success: true }]);
    const own = await all(loop, shell('ps -o pgid= -p $$'), { restart: 'never', processGroup: false });
    t.equal(Number(texts(own)[0]), Number(readFileSync('/proc/self/stat', 'ascii').split(') ')[1]?.split(' ')[2]));
  }),
);

t.test(
  'the last lines come before the end, also half ones, however much it is',
  onLoop(async (t, loop) => {
    const script = 'seq 1 30000; seq 1 30000 >&2; printf half; printf "h\\303\\244lf" >&2';
    for (let round = 0; round < 3; round++) {
      const events = await all(loop, shell(script), { restart: 'never' });
      const numbers = Array.from({ length: 30_000 }, (_, index) => String(index + 1));
      t.strictSame(texts(events), [...numbers, 'half']);
      t.strictSame(texts(events, 'stderr'), [...numbers, 'hälf']);
      t.strictSame(
        events.slice(-2).map(({ type }) => type),
        ['ended', 'done'],
      );
    }
  }),
);

t.test(
  'one who left its group may hold the output; then it is told, with what was written until then',
  onLoop(async (t, loop) => {
    const script = 'setsid sh -c "echo \\$\\$; printf half; exec sleep 1000" & sleep 0.3';
    const events = await all(loop, shell(script), { restart: 'never' });
    const [pid, half] = texts(events);
    t.equal(half, 'half');
    t.match(ends(events), [{ cause: 'exit', status: 0, outputLeft: true }]);
    process.kill(Number(pid), 'SIGKILL');
  }),
);

t.test('the loop, or a second request, may end it while it waits for such output', async (t) => {
  const script = 'setsid sh -c "echo \\$\\$; exec sleep 1000" & sleep 0.3';
  for (const how of ['loop', 'request']) {
    const before = openFds();
    using loop = new Loop();
    const stop = new Subject<void>();
    const events: SupervisionEvent[] = [];
    let completed = false;
    supervise(loop, shell(script), { stop: { on: stop } }).subscribe({
      next: (event) => events.push(event),
      complete: () => {
        completed = true;
        loop.exit();
      },
    });
    const finished = loop.run();
    const isWaiting = () => texts(events).length > 0 && children().length === 0;
    await untilOr(LIMIT, isWaiting, () => 'it does not end');
    t.equal(ends(events).length, 0, 'the end is not told yet');
    if (how === 'loop') {
      loop.exit();
    } else {
      stop.next();
      stop.next();
    }
    await finished;
    process.kill(Number(texts(events)[0]), 'SIGKILL');
    t.ok(completed, how);
    t.equal(ends(events).length, how === 'loop' ? 0 : 1);
    t.strictSame(openFds(), before);
  }
});

t.test(
  'lines that are too long come in parts',
  onLoop(async (t, loop) => {
    const options: SuperviseOptions = { restart: 'never', longestLine: 4 };
    const events = await all(loop, shell('echo 1234; echo 12345; printf 123456789'), options);
    const parts = events.flatMap((event) => (event.type === 'line' ? `${event.text}${event.cut ? '…' : ''}` : []));
    t.strictSame(parts, ['1234', '1234…', '5', '1234…', '5678…', '9']);
    const latin = await all(loop, shell('printf "\\344\\n"'), { restart: 'never', encoding: 'latin1' });
    t.strictSame(texts(latin), ['ä']);
  }),
);

t.test(
  'while it is paused, its output waits in the pipe',
  onLoop(async (t, loop) => {
    const paused = new Subject<boolean>();
    let [lines, atPause] = [0, 0];
    const program$ = supervise(loop, { file: 'yes', args: ['x'.repeat(999)] }, { paused, stop: { deadline: 0 } });
    const subscription = program$.subscribe((event) => {
      if (event.type !== 'line') return;
      lines++;
      if (lines !== 500) return;
      paused.next(true);
      queueMicrotask(() => {
        atPause = lines;
      });
    });
    await untilOr(
      LIMIT,
      () => atPause > 0,
      () => 'it is not paused',
    );
    // A round trip by a child and by the loop itself: time in which lines would come.
    for (let round = 0; round < 5; round++) await all(loop, { file: 'true' }, { restart: 'never' });
    t.equal(lines, atPause);
    paused.next(false);
    await untilOr(
      LIMIT,
      () => lines > atPause + 1000,
      () => 'it does not go on',
    );
    subscription.unsubscribe();
  }),
);

t.test(
  'what is in the pipe at the end comes also if it is paused',
  onLoop(async (t, loop) => {
    const events = await all(loop, shell('seq 1 1000; printf half'), { restart: 'never', paused: of(true) });
    t.equal(texts(events).length, 1001);
    t.equal(texts(events).at(-1), 'half');
  }),
);

t.test(
  'output may be left alone or thrown away; the input is empty, other descriptors are what they are',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const path = folder.join('list');
    const look = 'links=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 /proc/$$/fd/3); echo "$links" >$1';
    const links = async (options: SuperviseOptions, fds?: Program['fds']) => {
      const program = { ...shell(look, path), ...(fds !== undefined && { fds }) };
      t.equal(texts(await all(loop, program, { restart: 'never', ...options })).length, 0);
      return readFileSync(path, 'utf8')
        .trim()
        .split('\n')
        .map((link) => link.replace(/\d+/g, 'N'));
    };
    // The fourth may be one of the shell's own.
    const ours = (fd: number) => readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, 'N');
    t.strictSame((await links({ output: 'ignore' })).slice(0, 3), ['/dev/null', '/dev/null', '/dev/null']);
    t.strictSame((await links({ output: 'inherit' })).slice(0, 3), ['/dev/null', ours(1), ours(2)]);
    t.strictSame((await links({})).slice(0, 3), ['/dev/null', 'pipe:[N]', 'pipe:[N]']);
    t.strictSame((await links({}, [null, null, null, null]))[3], '/dev/null');
  }),
);

t.test(
  'the pipes of a program block, as programs expect it',
  onLoop(async (t, loop) => {
    const flags = async (number: number) => {
      const events = await all(loop, { file: 'cat', args: [`/proc/self/fdinfo/${number}`] }, { restart: 'never' });
      return Number.parseInt(
        texts(events)
          .join('\n')
          .match(/^flags:\s*(\d+)$/m)?.[1] ?? '',
        8,
      );
    };
    t.equal((await flags(1)) & O_NONBLOCK, 0);
    t.equal((await flags(2)) & O_NONBLOCK, 0);
  }),
);

t.test(
  'a watchdog ends a program that hangs, which has failed',
  onLoop(async (t, loop) => {
    const limit = new StartLimit({ starts: 2, interval: LIMIT });
    const watched: number[] = [];
    const options: SuperviseOptions = {
      restart: 'on-failure',
      backoff: { first: 1 },
      limit,
      watchdog: ({ pid }) => {
        watched.push(pid);
        return loop.time({ after: 20 });
      },
    };
    const events = await all(loop, { file: 'sleep', args: ['1000'] }, options);
    t.match(
      ends(events),
      [1, 2].map((attempt) => ({ attempt, status: SIGTERM, cause: 'watchdog', success: false })),
    );
    t.strictSame(
      ends(events).map(({ pid }) => pid),
      watched,
    );
    const never = await all(loop, { file: 'true' }, { ...options, watchdog: () => NEVER });
    t.equal(never.at(-1)?.type, 'gave-up', 'the limit was met before');
    const fine = await all(loop, { file: 'true' }, { restart: 'never', watchdog: () => EMPTY });
    t.match(ends(fine), [{ cause: 'exit' }]);
  }),
);

t.test(
  'each start may be another program; what the function throws is the end of it all',
  onLoop(async (t, loop) => {
    const program = (attempt: number): Program => {
      if (attempt === 3) throw new Error('no third time');
      return shell(`echo ${attempt}`);
    };
    const lines: string[] = [];
    const program$ = supervise(loop, program, { backoff: { first: 1 } }).pipe(
      tap((event) => {
        if (event.type === 'line') lines.push(event.text);
      }),
    );
    await t.rejects(lastValueFrom(program$), /no third time/);
    t.strictSame(lines, ['1', '2']);
    const wrong = supervise(loop, () => ({ file: 'true', args: 'text' }) as unknown as Program);
    await t.rejects(lastValueFrom(wrong), { code: 'ERR_INVALID_ARG_TYPE' });
    await t.rejects(lastValueFrom(supervise(loop, () => ({}) as Program)), /`program.file` must be a string/);
  }),
);

t.test('options that make no sense together are refused', async (t) => {
  using loop = new Loop();
  const refused = (options: SuperviseOptions) => () => supervise(loop, { file: 'true' }, options);
  t.throws(refused({ output: 'inherit', encoding: 'utf8' }), /are for `output: 'lines'`, not 'inherit'/);
  t.throws(refused({ output: 'ignore', paused: NEVER }), /are for `output: 'lines'`, not 'ignore'/);
  t.throws(refused({ atLimit: 'wait' }), /`atLimit` needs a `limit`/);
  t.throws(refused({ backoff: { first: 10, most: 5 } }), /`backoff.most` must be a number of 10 or more/);
});

t.test(
  'many at a time come and go without a trace',
  onLoop(async (t, loop) => {
    const limit = new StartLimit({ starts: 100, interval: LIMIT });
    const backoff = { first: 0 };
    const program = shell('echo one; printf two');
    const pool = await Promise.all(Array.from({ length: 10 }, () => all(loop, program, { limit, backoff })));
    t.equal(pool.flatMap(ends).length, 100);
    t.equal(pool.flatMap((events) => texts(events)).length, 200);
    t.strictSame(children(), []);
  }),
);

import type { SourceOptions } from '@sdrx/event';
import { type ChildChange, type Clock, isSystemError, type Signal, type SignalInfo, signalName } from '@sdrx/linux';
import { BehaviorSubject, map, type Observable, Subject, type Subscription, take, tap } from 'rxjs';
import { epollNames, inotifyNames, maskOf, namesOf } from './names.js';
import type { Scenario } from './scenario.js';

/** What a handler fails with in sd-event.c, -EIO, and thereby the exit code. */
const FAILURE = -5;
const SI_USER = 0;

type Kind = (source: ScenarioSource, ...args: string[]) => Observable<unknown>;

/** The kinds of sources, from the words after their name to what the trace tells of their values. */
const kinds: Readonly<Record<string, Kind>> = {
  io: ({ scenario: { loop, world }, options, events, own }, name = '') => {
    return loop
      .io(world.descriptor(name, own), { ...options, events, own })
      .pipe(map(({ revents }) => namesOf(epollNames, revents)));
  },
  time: ({ scenario: { loop }, options, setting: { accuracy, every } }, clock, start, time) => {
    const timer = { ...options, clock: clock as Clock, ...(accuracy && { accuracy: Number(accuracy) }) };
    const absolute = start === 'at';
    const when = absolute ? { at: Number(time) } : { after: Number(time) };
    return loop
      .time({ ...timer, ...when, ...(every && { every: Number(every) }) })
      .pipe(
        map(
          ({ scheduled, now }) => `${absolute ? `at ${Math.floor(scheduled)}` : ''}${now < scheduled ? ' early' : ''}`,
        ),
      );
  },
  signal: ({ scenario: { loop, world }, options }, signal = '') =>
    loop.signal(signal as Signal, options).pipe(
      tap(() => world.raised.delete(signal)),
      map(signalText),
    ),
  child: ({ scenario: { loop, world }, options, own }, process = '', list = '') => {
    const changes = list.split(',');
    const wanted = {
      exited: changes.includes('exited'),
      stopped: changes.includes('stopped'),
      continued: changes.includes('continued'),
    };
    return loop.child(world.process(process), { ...options, ...wanted, own }).pipe(map(childText));
  },
  inotify: ({ scenario: { loop, world }, options }, path = '', mask = '') =>
    loop.inotify(world.path(path), { ...options, mask: maskOf(inotifyNames, mask) }).pipe(
      map(({ mask, name, cookie }) => {
        const moved = cookie === 0 ? '' : `cookie ${world.cookieNumber(cookie)}`;
        return [namesOf(inotifyNames, mask), name, moved].filter(Boolean).join(' ');
      }),
    ),
  defer: ({ scenario: { loop }, options, mode }) => loop.defer({ ...options, repeat: mode === 'on' }),
  post: ({ scenario: { loop }, options }) => loop.post(options),
  exiting: ({ scenario: { loop }, options }) => loop.exiting(options),
  pressure: ({ scenario: { loop }, options }) => loop.memoryPressure(options),
};

export const sourceKinds: readonly string[] = Object.keys(kinds);

function signalText({ signo, code, value, pid }: SignalInfo): string {
  const how = code === SI_USER ? 'sent' : 'queued';
  return `${signalName(signo)} ${how} value ${value}${pid === process.pid ? '' : ' of another'}`;
}

function childText({ code, status }: ChildChange): string {
  return `${code} ${code === 'exited' ? status : signalName(status)}`;
}

/** A source as a scenario sees it: one that can be turned off and on, which here is to unsubscribe and subscribe anew. */
export class ScenarioSource {
  /** The words `key=value` of its statement, and `key` alone with an empty value. */
  readonly setting: Readonly<Record<string, string | undefined>>;
  readonly own: boolean;
  readonly options: SourceOptions;
  readonly priority: BehaviorSubject<number>;
  readonly eventMask: BehaviorSubject<number>;
  readonly leave = new Subject<void>();
  mode: string;
  readonly #words: readonly string[];
  readonly #name: string;
  #subscription: Subscription | undefined;
  #removed = false;
  #prepared = 0;
  #expired = 0;

  constructor(
    readonly scenario: Scenario,
    words: readonly string[],
    public dispatched = 0,
  ) {
    const [kind, name = '', ...args] = words;
    this.#words = words;
    this.#name = name;
    this.setting = Object.fromEntries(
      args.map((word) => word.split('=') as [string, string?]).map(([key, value = '']) => [key, value]),
    );
    this.priority = new BehaviorSubject(Number(this.setting.priority ?? 0));
    this.eventMask = new BehaviorSubject(kind === 'io' ? maskOf(epollNames, args[1] ?? '') : 0);
    this.own = this.setting.own !== undefined;
    this.options = this.#options();
    this.mode = this.setting.enabled ?? (kind === 'defer' ? 'oneshot' : 'on');
  }

  /** Only where the scenario changes them they have to be an Observable. */
  get events(): number | Observable<number> {
    return this.scenario.mentions(`events ${this.#name}`) ? this.eventMask : this.eventMask.value;
  }

  #options(): SourceOptions {
    const { scenario, setting } = this;
    const name = this.#name;
    const [interval = 0, burst = 0] = (setting.ratelimit ?? '').split(',').map(Number);
    return {
      description: name,
      priority: scenario.mentions(`priority ${name}`) ? this.priority : this.priority.value,
      ...(setting.failure === undefined ? {} : { exitOnFailure: FAILURE }),
      ...(setting.ratelimit === undefined
        ? {}
        : { ratelimit: { interval, burst, onExpire: () => this.#hook('expire', ++this.#expired), leave: this.leave } }),
      ...(scenario.mentions(`prepare ${name}`) ? { prepare: () => this.#hook('prepare', ++this.#prepared) } : {}),
    };
  }

  /** Turns it on, `on` for good or `oneshot`, or `off`. */
  enable(mode = this.mode): void {
    if (this.#removed) return;
    this.off();
    this.mode = mode;
    if (mode === 'off') return;
    const [kind = '', , ...args] = this.#words;
    const values = kinds[kind]?.(this, ...args);
    const subscription = (mode === 'oneshot' ? values?.pipe(take(1)) : values)?.subscribe({
      next: (value) => this.#dispatch(kind, value),
      error: (error) => {
        if (!isSystemError(error)) throw error;
        this.scenario.trace(`error ${this.#name} ${error.code}`);
      },
    });
    this.#subscription = subscription;
  }

  off(): void {
    this.#subscription?.unsubscribe();
  }

  remove(): void {
    this.off();
    this.#removed = true;
  }

  #dispatch(kind: string, value: unknown): void {
    this.scenario.trace([kind, this.#name, value].filter(Boolean).join(' '));
    this.scenario.runHooks('when', this.#name, ++this.dispatched);
  }

  #hook(hook: string, nth: number): void {
    this.scenario.trace(`${hook} ${this.#name}`);
    this.scenario.runHooks(hook, this.#name, nth);
  }
}

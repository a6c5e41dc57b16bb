import {
  checkArray,
  checkBoolean,
  checkChoice,
  checkFunction,
  checkInteger,
  checkMethods,
  checkNumber,
  checkObject,
  checkText,
  type Signal,
  type SpawnOptions,
  signalNumber,
  wrongKind,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { checkObservable, checkPriority } from '../core/check-options.js';
import { Backoff, type BackoffOptions } from './backoff.js';
import { LineDecoder, type LineOptions } from './line-decoder.js';
import { linuxPrograms, type ProgramSystem } from './program-system.js';
import type { StartLimit } from './start-limit.js';
import type { ProgramStarted } from './supervision-event.js';

/** A program, and all that `spawn` of @sdrx/linux can be told of it. */
export interface Program extends SpawnOptions {
  /** Found along our own PATH if it has no slash. */
  readonly file: string;
}

/** How a program is asked to end. */
export interface StopOptions {
  /** What it is asked by, by default SIGTERM. SIGCONT follows, for one that is stopped. */
  readonly signal?: Signal;
  /** After how long it gets SIGKILL, in milliseconds, by default 10,000; Infinity for never. */
  readonly deadline?: number;
  /** When: at the first value, or when it is aborted. A second value has it killed at once. */
  readonly on?: Observable<unknown> | AbortSignal;
}

/** How a program is kept running. */
export interface SuperviseOptions extends LineOptions {
  /** When it is started again, in the words of systemd's Restart=: `always` by default. */
  readonly restart?: 'always' | 'on-failure' | 'never';
  /** Exit statuses and names of signals that are no failure, by default 0, SIGHUP, SIGINT, SIGTERM and SIGPIPE. */
  readonly success?: readonly (number | Exclude<Signal, number>)[];
  /** How long it waits for its next start. */
  readonly backoff?: BackoffOptions;
  /** How often it may be started, by itself or together with others that have the same limit. By default as often as it likes. */
  readonly limit?: StartLimit;
  /** When the limit is met, it is given up, the default, or started as soon as the limit allows. */
  readonly atLimit?: 'give-up' | 'wait';
  /** How it is asked to end, and when. */
  readonly stop?: StopOptions;
  /**
   * Runs it in a process group of its own, of which every process gets the signals that it gets. What it leaves behind when it ends
   * is asked to end, too, and killed at the deadline, before it is started again. By default true: then a Ctrl-C at the terminal
   * is for the supervisor alone.
   */
  readonly processGroup?: boolean;
  /**
   * What becomes of its standard output and error: `lines`, the default, makes events of them, `inherit` leaves them as `fds` of the
   * program has them, by default our own, `ignore` is /dev/null. Its standard input is /dev/null unless `fds` says otherwise.
   */
  readonly output?: 'lines' | 'inherit' | 'ignore';
  /** While true, its output is not read, so that it waits when the pipe is full. What is in there when it ends comes all the same. */
  readonly paused?: Observable<boolean>;
  /** Watches each run: the first value, or an error, says that it hangs. It is then asked to end, as by `stop`, and has failed. */
  readonly watchdog?: (started: ProgramStarted) => Observable<unknown>;
  /** Of its output and its end, as a source's. The end is told after the output, whatever the priority. */
  readonly priority?: number;
  /** What starts its processes and ends them, by default Linux. A test has one of its own, for a `VirtualLoop`. */
  readonly system?: ProgramSystem;
}

const DEFAULT_SUCCESS = [0, 'SIGHUP', 'SIGINT', 'SIGTERM', 'SIGPIPE'] as const;

/** All options, checked, with what is so by default. */
export class SuperviseSettings {
  readonly restart: 'always' | 'on-failure' | 'never';
  readonly statuses: ReadonlySet<number>;
  /** Numbers of signals. */
  readonly signals: ReadonlySet<number>;
  readonly backoff: BackoffOptions;
  readonly limit: StartLimit | undefined;
  readonly atLimit: 'give-up' | 'wait';
  readonly stopSignal: Signal;
  readonly deadline: number;
  readonly stopOn: StopOptions['on'];
  readonly processGroup: boolean;
  readonly output: 'lines' | 'inherit' | 'ignore';
  readonly lines: LineOptions;
  readonly paused: Observable<boolean> | undefined;
  readonly watchdog: SuperviseOptions['watchdog'];
  readonly priority: number;
  readonly system: ProgramSystem;

  /** @throws TypeError and RangeError for options that can't be, each or together */
  constructor(options: SuperviseOptions) {
    checkObject('options', options);
    const { restart = 'always', success = DEFAULT_SUCCESS, backoff = {}, limit, atLimit, stop = {} } = options;
    const { processGroup = true, output = 'lines', encoding, longestLine, paused, watchdog, priority = 0 } = options;
    const { system = linuxPrograms } = options;
    checkChoice('restart', restart, ['always', 'on-failure', 'never']);
    checkArray('success', success, checkSuccess);
    this.restart = restart;
    this.statuses = new Set(success.filter((item) => typeof item === 'number'));
    this.signals = new Set(success.filter((item) => typeof item === 'string').map(signalNumber));
    new Backoff(backoff);
    this.backoff = backoff;
    if (limit !== undefined) checkMethods('limit', limit, 'a StartLimit', 'take', 'wait');
    if (atLimit !== undefined) checkChoice('atLimit', atLimit, ['give-up', 'wait']);
    if (limit === undefined && atLimit !== undefined) throw new TypeError('`atLimit` needs a `limit` to be met');
    this.limit = limit;
    this.atLimit = atLimit ?? 'give-up';
    checkObject('stop', stop);
    const { signal = 'SIGTERM', deadline = 10_000, on } = stop;
    signalNumber(signal);
    if (deadline !== Number.POSITIVE_INFINITY) checkNumber('stop.deadline', deadline, 0);
    if (on !== undefined && !(on instanceof AbortSignal)) checkObservable('stop.on', on);
    this.stopSignal = signal;
    this.deadline = deadline;
    this.stopOn = on;
    checkBoolean('processGroup', processGroup);
    this.processGroup = processGroup;
    checkChoice('output', output, ['lines', 'inherit', 'ignore']);
    this.output = output;
    this.lines = { ...(encoding !== undefined && { encoding }), ...(longestLine !== undefined && { longestLine }) };
    new LineDecoder(this.lines);
    if (paused !== undefined) checkObservable('paused', paused);
    if (output !== 'lines' && (encoding ?? longestLine ?? paused) !== undefined) {
      throw new TypeError(`\`encoding\`, \`longestLine\` and \`paused\` are for \`output: 'lines'\`, not '${output}'`);
    }
    this.paused = paused;
    if (watchdog !== undefined) checkFunction('watchdog', watchdog);
    this.watchdog = watchdog;
    checkPriority(priority);
    this.priority = priority;
    checkMethods('system', system, 'a ProgramSystem', 'start', 'wait', 'signalGroup', 'pipe', 'read');
    this.system = system;
  }
}

/** Throws unless a program has a file; what else it has, `spawn` looks at. */
export function checkProgram(program: unknown): asserts program is Program {
  checkObject('program', program, 'an object with the `file` to run, or a function that makes one');
  checkText('program.file', (program as Partial<Program>).file);
}

function checkSuccess(name: string, item: unknown): void {
  if (typeof item === 'number') checkInteger(name, item, 0, 255);
  else if (typeof item === 'string') signalNumber(item as Signal);
  else throw wrongKind(name, 'an exit status or the name of a signal', item);
}

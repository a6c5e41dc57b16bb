import { constants, openSync, writeSync } from 'node:fs';
import {
  isJournalStream,
  Journal,
  type JournalFields,
  LOG_LEVELS,
  type LogLevel,
  StandardError,
  sendJournalEntry,
} from '@sdrx/event';
import { atLoad, isSystemError } from '@sdrx/linux';
import { logKind, logText } from './log-text.js';
import { about } from './message-ids.js';
import { MessageRate } from './message-rate.js';

export { LOG_LEVELS, type LogLevel };

/**
 * Where messages go, by the names of SYSTEMD_LOG_TARGET. `console-prefixed` has a level and a facility before each line,
 * `journal-or-kmsg` is the journal as long as that takes them.
 */
export const LOG_TARGETS = ['console', 'console-prefixed', 'journal', 'journal-or-kmsg', 'kmsg', 'null'] as const;
export type LogTarget = (typeof LOG_TARGETS)[number];

/** The places that a message can end up at, each of which may have a level of its own. */
export type LogPlace = 'console' | 'journal' | 'kmsg';

/** LOG_DAEMON of syslog(3), as it is put before the level. */
const FACILITY = 3 << 3;

const KERNEL_LOG = '/dev/kmsg';

/** Within this time, in milliseconds, only so many messages of one kind are logged: of those that matter, and of others. */
const RATE_INTERVAL = 30_000;
const RATE_BURST = 200;
const RATE_BURST_VERBOSE = 10_000;

/** The last level of those that matter. */
const NOTICE = LOG_LEVELS.indexOf('notice');

const standardError = new StandardError();

/**
 * A service's log: one line a message, up to a level, to one target. Both can be changed at any time.
 *
 * To log never waits and never fails. Messages of one kind, those that differ in numbers and quoted names only, are limited
 * to 200 in 30 s (information and debug messages: 10,000), then one line says how many were suppressed: what users can cause
 * must not fill a disk. What would not be plain text is escaped.
 *
 * The journal is told fields beside: which kind of message it is and what it is about (see `MESSAGE_IDS`), and of an error its
 * number. It is told by its own protocol where it is the target, and where it reads our standard error.
 */
export class Log {
  level: LogLevel = 'info';
  target: LogTarget = 'console';
  /** What goes to a place goes there up to this level; the log's own has precedence. */
  readonly targetLevels = new Map<LogPlace, LogLevel>();
  readonly #rate = new MessageRate(RATE_INTERVAL, RATE_BURST);
  readonly #verboseRate = new MessageRate(RATE_INTERVAL, RATE_BURST_VERBOSE);
  #summary: NodeJS.Timeout | undefined;
  #journal: Journal | undefined;

  /** @param identifier the program's name, which every message carries */
  constructor(readonly identifier: string) {}

  warning(message: string, cause?: unknown, fields?: JournalFields): void {
    this.#log('warning', message, cause, fields);
  }

  error(message: string, cause?: unknown, fields?: JournalFields): void {
    this.#log('err', message, cause, fields);
  }

  notice(message: string, cause?: unknown, fields?: JournalFields): void {
    this.#log('notice', message, cause, fields);
  }

  info(message: string, cause?: unknown, fields?: JournalFields): void {
    this.#log('info', message, cause, fields);
  }

  debug(message: string, cause?: unknown, fields?: JournalFields): void {
    this.#log('debug', message, cause, fields);
  }

  #log(level: LogLevel, message: string, cause: unknown, fields: JournalFields = {}): void {
    const priority = LOG_LEVELS.indexOf(level);
    if (this.target === 'null' || priority > LOG_LEVELS.indexOf(this.level)) return;
    const text = logText(cause === undefined ? message : `${message}: ${describe(cause)}`);
    const rate = priority <= NOTICE ? this.#rate : this.#verboseRate;
    const now = atLoad.performanceNow();
    this.#sayWhatWasSuppressed(now);
    if (rate.take(`${priority} ${logKind(message)}`, text, now))
      this.#write(priority, text, { ...fieldsOf(cause), ...fields });
    else this.#summary ??= atLoad.setTimeout(() => this.#summarize(), RATE_INTERVAL).unref();
  }

  #summarize(): void {
    this.#summary = undefined;
    this.#sayWhatWasSuppressed(atLoad.performanceNow());
  }

  #sayWhatWasSuppressed(now: number): void {
    for (const { count, example } of [...this.#rate.ended(now), ...this.#verboseRate.ended(now)]) {
      this.#write(
        NOTICE,
        `${count} more messages of this kind were suppressed within ${RATE_INTERVAL / 1000} s: ${example}`,
        about('suppressed'),
      );
    }
  }

  #write(priority: number, text: string, fields: JournalFields): void {
    if (this.target === 'null') return;
    try {
      switch (this.target) {
        case 'journal':
          this.#toJournal(priority, text, fields);
          break;
        case 'journal-or-kmsg':
          this.#toJournalOrKernelLog(priority, text, fields);
          break;
        case 'kmsg':
          this.#toKernelLog(priority, text);
          break;
        default:
          this.#toConsole(priority, text, fields);
      }
    } catch (error) {
      // Better in the wrong place than lost.
      this.#toConsole(priority, `${text} (not to the ${this.target}: ${logText(describe(error))})`, fields);
    }
  }

  #toConsole(priority: number, text: string, fields: JournalFields): void {
    if (!this.#wants('console', priority)) return;
    const name = `${this.identifier}[${process.pid}]: `;
    if (this.target === 'console-prefixed') writeLine(`<${FACILITY | priority}>${name}${text}`);
    else if (!isJournalStream()) writeLine(`${name}${text}`);
    // A line would have no fields.
    else this.#stream[LOG_LEVELS[priority] ?? 'info'](text, fields);
  }

  /** For the journal that reads our standard error. */
  get #stream(): Journal {
    this.#journal ??= new Journal({ identifier: this.identifier, level: 'debug', target: 'journal' });
    return this.#journal;
  }

  #wants(place: LogPlace, priority: number): boolean {
    const level = this.targetLevels.get(place);
    return level === undefined || priority <= LOG_LEVELS.indexOf(level);
  }

  #toJournalOrKernelLog(priority: number, text: string, fields: JournalFields): void {
    try {
      this.#toJournal(priority, text, fields);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#toKernelLog(priority, text);
    }
  }

  #toJournal(priority: number, text: string, fields: JournalFields): void {
    if (!this.#wants('journal', priority)) return;
    sendJournalEntry({ MESSAGE: text, PRIORITY: priority, SYSLOG_IDENTIFIER: this.identifier, ...fields });
  }

  #kernelLog: number | undefined;

  #toKernelLog(priority: number, text: string): void {
    if (!this.#wants('kmsg', priority)) return;
    this.#kernelLog ??= openSync(KERNEL_LOG, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    writeSync(this.#kernelLog, `<${priority}>${this.identifier}[${process.pid}]: ${text}\n`);
  }
}

/** Writes one line to the standard error, whatever the log's target is, without waiting. */
export function writeLine(text: string): void {
  standardError.writeLine(text);
}

/** What the journal is told of an error beside its words. */
function fieldsOf(cause: unknown): JournalFields {
  if (!isSystemError(cause)) return {};
  const { code, errno, syscall } = cause;
  return { ERRNO: errno === undefined ? undefined : Math.abs(errno), ERROR_CODE: code, ERROR_SYSCALL: syscall };
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

import { basename } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { checkBoolean, checkChoice, checkText, readKernelFile } from '@sdrx/linux';
import { errorFields, errorMessage, errorStack } from './error-fields.js';
import { encodeEntry, type JournalFields } from './journal-fields.js';
import type { JournalOptions } from './journal-options.js';
import { deliverEntry } from './journal-outbox.js';
import { isJournalStream } from './journal-stream.js';
import { LOG_LEVELS, type LogLevel } from './log-level.js';
import { JOURNAL_SOCKET } from './send-journal-entry.js';
import { StandardError } from './standard-error.js';

const TARGETS = ['auto', 'journal', 'stderr'] as const;

/** Control characters but for tabs and line breaks, which a terminal might obey. */
const CONTROL = /(?![\t\n])\p{Cc}/gu;

const standardError = new StandardError();

/** A message, and what goes along with it. */
export interface WrittenEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: JournalFields;
  /** Undefined for none. */
  readonly error: unknown;
}

/** Where the entries of a `Journal` and its children go, and which ones do. */
export class JournalWriter {
  readonly #identifier: string;
  readonly #socket: string;
  readonly #target: NonNullable<JournalOptions['target']>;
  /** Whether entries say where they were logged. */
  readonly location: boolean;
  #level: LogLevel;
  #isStream: boolean | undefined;

  /** @throws TypeError and RangeError for options that can't be */
  constructor(options: JournalOptions) {
    const { level = usualLevel(), target = 'auto', location = false, socket = JOURNAL_SOCKET } = options;
    const { identifier = usualIdentifier() } = options;
    checkText('identifier', identifier);
    checkChoice('level', level, LOG_LEVELS);
    checkChoice('target', target, TARGETS);
    checkBoolean('location', location);
    checkText('socket', socket);
    this.#identifier = identifier;
    this.#level = level;
    this.#target = target;
    this.location = location;
    this.#socket = socket;
  }

  get level(): LogLevel {
    return this.#level;
  }

  set level(level: LogLevel) {
    checkChoice('level', level, LOG_LEVELS);
    this.#level = level;
  }

  /** Whether what is of this level is written. */
  takes(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) <= LOG_LEVELS.indexOf(this.#level);
  }

  write(entry: WrittenEntry): void {
    if (this.#target === 'stderr' || (this.#target === 'auto' && !this.#isJournals())) {
      standardError.writeLine(`${entry.level}: ${plainText(entry)}`);
      return;
    }
    const { level, message, fields, error } = entry;
    const bytes = encodeEntry({
      MESSAGE: error === undefined ? message : `${message}: ${errorMessage(error)}`,
      PRIORITY: LOG_LEVELS.indexOf(level),
      SYSLOG_IDENTIFIER: this.#identifier,
      ...(error !== undefined && errorFields(error)),
      ...fields,
    });
    deliverEntry({ socket: this.#socket, bytes, refused: () => writePrefixed(entry) });
  }

  /** Asked once: what the standard error is does not change as a rule. */
  #isJournals(): boolean {
    this.#isStream ??= isJournalStream();
    return this.#isStream;
  }
}

/** Each line says its level, so that whoever reads them, the journal say, knows it of each. sd-daemon(3) */
function writePrefixed(entry: WrittenEntry): void {
  const prefix = `<${LOG_LEVELS.indexOf(entry.level)}>`;
  standardError.writeLine(plainText(entry).replace(/^/gm, prefix));
}

function plainText({ message, error }: WrittenEntry): string {
  const text = error === undefined ? message : `${message}: ${errorStack(error)}`;
  return text.replace(CONTROL, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** DEBUG_INVOCATION: systemd starts a service that has failed once more with RestartMode=debug. systemd.service(5) */
function usualLevel(): LogLevel {
  return process.env.DEBUG_INVOCATION === '1' ? 'debug' : 'info';
}

function usualIdentifier(): string {
  const program = isMainThread ? process.argv[1] : programOfProcess();
  return program === undefined ? 'node' : basename(program).replace(/\.[cm]?[jt]s$/, '');
}

/** In a thread `process.argv` has the thread's file, which may be a library's. */
function programOfProcess(): string | undefined {
  const program = readKernelFile('/proc/self/cmdline', 'utf8').split('\0')[1 + process.execArgv.length];
  return program === '' || program?.startsWith('-') ? undefined : program;
}

import { checkObject, checkText } from '@sdrx/linux';
import { codeLocation } from './code-location.js';
import { checkJournalFields, type JournalFields } from './journal-fields.js';
import type { JournalEntry } from './journal-options.js';
import type { JournalWriter } from './journal-writer.js';
import type { LogLevel } from './log-level.js';

/** Set by what is passed beside the fields. */
const RESERVED = ['MESSAGE', 'PRIORITY', 'SYSLOG_IDENTIFIER'];

/** Logs messages with certain fields: a `Journal`, or a child of one. */
export class JournalLogger {
  readonly #writer: JournalWriter;
  readonly #fields: JournalFields;

  /** @ignore */
  constructor(writer: JournalWriter, fields: JournalFields) {
    checkJournalFields(fields, RESERVED);
    this.#writer = writer;
    this.#fields = fields;
  }

  /** What is less urgent is not logged. */
  get level(): LogLevel {
    return this.#writer.level;
  }

  /** Changes it, for a journal and all its children. @throws TypeError and RangeError for what is none */
  set level(level: LogLevel) {
    this.#writer.level = level;
  }

  /**
   * One that logs with these fields beside those of this one, in whose place they come where they have the same name.
   * @throws TypeError and RangeError for what can't be a field
   */
  child(fields: JournalFields): JournalLogger {
    checkJournalFields(fields, RESERVED);
    return new JournalLogger(this.#writer, { ...this.#fields, ...fields });
  }

  /** The system is unusable. */
  emerg(message: string, entry: JournalEntry = {}): void {
    this.#log('emerg', message, entry);
  }

  /** Somebody must act at once. */
  alert(message: string, entry: JournalEntry = {}): void {
    this.#log('alert', message, entry);
  }

  /** The program can't go on. */
  crit(message: string, entry: JournalEntry = {}): void {
    this.#log('crit', message, entry);
  }

  /** Something has failed. */
  err(message: string, entry: JournalEntry = {}): void {
    this.#log('err', message, entry);
  }

  /** Something may fail, or has and was made up for. */
  warning(message: string, entry: JournalEntry = {}): void {
    this.#log('warning', message, entry);
  }

  /** Nothing is wrong, and it is worth to be noticed. */
  notice(message: string, entry: JournalEntry = {}): void {
    this.#log('notice', message, entry);
  }

  /** What a program usually does. */
  info(message: string, entry: JournalEntry = {}): void {
    this.#log('info', message, entry);
  }

  /** What only those want to know who look for an error. */
  debug(message: string, entry: JournalEntry = {}): void {
    this.#log('debug', message, entry);
  }

  #log(level: LogLevel, message: string, entry: JournalEntry): void {
    checkText('message', message);
    checkObject('entry', entry);
    const { error, ...given } = entry;
    checkJournalFields(given, RESERVED);
    if (!this.#writer.takes(level)) return;
    const place = this.#writer.location ? codeLocation(this[level]) : undefined;
    this.#writer.write({ level, message, error, fields: { ...place, ...this.#fields, ...given } });
  }
}

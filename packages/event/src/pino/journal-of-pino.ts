import { checkJournalFields, type JournalFields, type JournalValue } from '../journal/journal-fields.js';
import type { LogLevel } from '../journal/log-level.js';

/** What a line of pino's becomes. */
export interface PinoEntry {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: JournalFields;
}

/** The numbers of pino's levels, and from which on ours begin. 35 is none of pino's own. */
const LEVELS: readonly (readonly [least: number, level: LogLevel])[] = [
  [60, 'crit'],
  [50, 'err'],
  [40, 'warning'],
  [35, 'notice'],
  [30, 'info'],
];

/** As a logger writes them whose `formatters.level` has names. */
const NAMES: Readonly<Record<string, LogLevel>> = {
  fatal: 'crit',
  error: 'err',
  warn: 'warning',
  notice: 'notice',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
};

/** Members of a line that the journal knows by itself, or that are told otherwise. */
const KNOWN = ['level', 'time', 'pid', 'hostname'];

/** What is set by the message, the level and the program's name. */
const TAKEN = ['MESSAGE', 'PRIORITY', 'SYSLOG_IDENTIFIER'];

/** What of an error goes where, as `Journal` has it. */
const OF_ERROR = {
  type: 'ERROR_NAME',
  code: 'ERROR_CODE',
  syscall: 'ERROR_SYSCALL',
  path: 'ERROR_PATH',
  stack: 'ERROR_STACK',
} as const;

/** Reads a line that pino has written. What is no JSON, as other programs print it, is a message as it stands. */
export function readPinoLine(line: string, messageKey: string, errorKey: string): PinoEntry {
  const values = parse(line);
  if (values === undefined) return { level: 'info', message: line, fields: {} };
  const { [messageKey]: message, [errorKey]: error, ...rest } = values;
  const fields: Record<Uppercase<string>, JournalValue> = errorFields(error);
  for (const [key, value] of Object.entries(rest)) {
    const name = KNOWN.includes(key) || value === null || value === undefined ? undefined : fieldName(key, value);
    if (name !== undefined) fields[name] = textOf(value);
  }
  return { level: levelOf(values.level), message: messageOf(message, error), fields };
}

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function levelOf(level: unknown): LogLevel {
  if (typeof level === 'string') return NAMES[level] ?? 'info';
  return LEVELS.find(([least]) => Number(level) >= least)?.[1] ?? 'debug';
}

function messageOf(message: unknown, error: unknown): string {
  const text = message === undefined ? '' : textOf(message);
  const reason = isObject(error) ? error.message : undefined;
  if (typeof reason !== 'string' || text.includes(reason)) return text;
  return text === '' ? reason : `${text}: ${reason}`;
}

function errorFields(error: unknown): Record<Uppercase<string>, JournalValue> {
  const fields: Record<Uppercase<string>, JournalValue> = {};
  if (!isObject(error)) return fields;
  for (const [key, name] of Object.entries(OF_ERROR)) {
    if (error[key] !== undefined && error[key] !== null) fields[name] = textOf(error[key]);
  }
  if (typeof error.errno === 'number') fields.ERRNO = Math.abs(error.errno);
  return fields;
}

/** `userId` becomes `USER_ID`. @returns undefined for what nothing is left of */
function fieldName(key: string, value: unknown): Uppercase<string> | undefined {
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  const name = words
    .replace(/[^A-Z0-9_]/g, '_')
    .replace(/^[^A-Z]+/, '')
    .slice(0, 64) as Uppercase<string>;
  if (name === '') return undefined;
  return isTaken(name, value) ? (`PINO_${name}` as Uppercase<string>) : name;
}

function isTaken(name: Uppercase<string>, value: unknown): boolean {
  try {
    checkJournalFields({ [name]: textOf(value) }, TAKEN);
    return false;
  } catch {
    // Beside those that are set already, a MESSAGE_ID that is no UUID.
    return true;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}

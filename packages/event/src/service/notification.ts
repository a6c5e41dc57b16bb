import { checkInteger, checkNumber, checkObject, checkText, outOfRange, wrongKind } from '@sdrx/linux';

/** The variables of sd_notify(3), by their own names. Times are in microseconds; fractions are rounded up. */
export interface Notification {
  /** Start-up, or a reload, is done. */
  readonly READY?: 1;
  /** A reload begins; READY ends it. */
  readonly RELOADING?: 1;
  /** The end begins. */
  readonly STOPPING?: 1;
  /** CLOCK_MONOTONIC, with RELOADING: `loop.now() * 1e3`. */
  readonly MONOTONIC_USEC?: number;
  /** One line for people. */
  readonly STATUS?: string;
  /** Why it failed: the number of an error. */
  readonly ERRNO?: number;
  /** Why it failed: the name of a D-Bus error. */
  readonly BUSERROR?: string;
  /** The service's main process, if that is not the one that was started. */
  readonly MAINPID?: number;
  /** A sign of life, or the wish to be treated as one that gave none. */
  readonly WATCHDOG?: 1 | 'trigger';
  /** How long to wait for a sign of life from now on. */
  readonly WATCHDOG_USEC?: number;
  /** How much longer the start, the reload or the end that goes on may take. */
  readonly EXTEND_TIMEOUT_USEC?: number;
  /** Keep the descriptors sent along, and pass them at the next start. */
  readonly FDSTORE?: 1;
  /** Forget the kept descriptors of this FDNAME. */
  readonly FDSTOREREMOVE?: 1;
  /** 1 to 255 printable ASCII characters, no `:`. */
  readonly FDNAME?: string;
  /** Keep them also when they report an error. */
  readonly FDPOLL?: 0;
  /** Close the one descriptor sent along; see `notifyBarrier`. */
  readonly BARRIER?: 1;
}

/** What becomes of a value, which is refused here if it is none of the variable. */
type Format = (name: string, value: unknown) => string;

const only =
  (...choices: readonly unknown[]): Format =>
  (name, value) => {
    if (!choices.includes(value)) throw wrongKind(name, choices.join(' or '), value);
    return String(value);
  };

const integer =
  (least: number): Format =>
  (name, value) => {
    checkInteger(name, value, least);
    return String(value);
  };

/** Rounded up: a time that has come must not seem to lie before it, nor a shortest one be none. */
const microseconds: Format = (name, value) => {
  checkNumber(name, value, 0, Number.MAX_SAFE_INTEGER, 'a number of microseconds');
  return String(Math.ceil(value));
};

const line: Format = (name, value) => {
  checkText(name, value);
  if (/[\n\0]/.test(value)) throw wrongKind(name, 'one line', value);
  return value;
};

const fdName: Format = (name, value) => {
  checkText(name, value);
  if (!/^[ -9;-~]{1,255}$/.test(value))
    throw outOfRange(name, '1 to 255 printable ASCII characters without `:`', value);
  return value;
};

const FORMATS: Readonly<Record<keyof Notification, Format>> = {
  READY: only(1),
  RELOADING: only(1),
  STOPPING: only(1),
  MONOTONIC_USEC: microseconds,
  STATUS: line,
  ERRNO: integer(0),
  BUSERROR: line,
  MAINPID: integer(1),
  WATCHDOG: only(1, 'trigger'),
  WATCHDOG_USEC: microseconds,
  EXTEND_TIMEOUT_USEC: microseconds,
  FDSTORE: only(1),
  FDSTOREREMOVE: only(1),
  FDNAME: fdName,
  FDPOLL: only(0),
  BARRIER: only(1),
};

/** A notification as it is sent, one line a variable. Throws TypeError and RangeError for what sd_notify(3) has no place for. */
export function formatNotification(notification: Notification): string {
  checkObject('notification', notification);
  return Object.entries(notification)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      if (!isVariable(name)) throw outOfRange('notification', `variables of sd_notify(3)`, name);
      return `${name}=${FORMATS[name](name, value)}`;
    })
    .join('\n');
}

function isVariable(name: string): name is keyof Notification {
  return Object.hasOwn(FORMATS, name);
}

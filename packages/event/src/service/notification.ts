import {
  checkInteger,
  checkNumber,
  checkObject,
  checkPid,
  checkText,
  checkUint64,
  outOfRange,
  wrongKind,
} from '@sdrx/linux';

/** The variables of sd_notify(3), by their own names. Times are in microseconds; fractions are rounded up. */
export interface Notification {
  /** Start-up, or a reload, is done. */
  readonly READY?: 1;
  /** A reload begins; READY ends it. */
  readonly RELOADING?: 1;
  /** The end begins. */
  readonly STOPPING?: 1;
  /** CLOCK_MONOTONIC, with RELOADING: `loop.now() * 1e3`. See `reloading`, which does it all. */
  readonly MONOTONIC_USEC?: number;
  /** One line for people. */
  readonly STATUS?: string;
  /** Why it failed: the number of an error. */
  readonly ERRNO?: number;
  /** Why it failed: the name of a D-Bus error. */
  readonly BUSERROR?: string;
  /** Why it failed: the name of a Varlink error. Since systemd 257. */
  readonly VARLINKERROR?: string;
  /** What it will exit with, or has: 0 to 255. Of use to the manager of a container or a virtual machine. Since systemd 254. */
  readonly EXIT_STATUS?: number;
  /** The service's main process, if that is not the one that was started. */
  readonly MAINPID?: number;
  /** The inode of a pidfd of MAINPID, by which it can't be mistaken for another process. Since systemd 257. */
  readonly MAINPIDFDID?: number | bigint;
  /** The one descriptor sent along is a pidfd of the main process; MAINPID need not be said then. Since systemd 257. */
  readonly MAINPIDFD?: 1;
  /** Whose notifications count from now on; the main process may say it. Since systemd 254. */
  readonly NOTIFYACCESS?: 'none' | 'main' | 'exec' | 'all';
  /** Forget how often the service was restarted (RestartSteps=). Since systemd 258. */
  readonly RESTART_RESET?: 1;
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
  /** Close the one descriptor sent along; stands alone. See `notifyBarrier`. */
  readonly BARRIER?: 1;
  /** One's own: capital letters, digits and `_` after the `X_`. systemd passes over those that it does not know. */
  readonly [own: `X_${string}`]: string | undefined;
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
  (least: number, most?: number): Format =>
  (name, value) => {
    checkInteger(name, value, least, most);
    return String(value);
  };

const pid: Format = (name, value) => {
  checkPid(value, name);
  return String(value);
};

const inode: Format = (name, value) => {
  if (typeof value === 'bigint') checkUint64(name, value);
  else checkInteger(name, value, 0);
  return String(value);
};

/** Rounded up: a time that has come must not seem to lie before it, nor a shortest one be none. */
const microseconds: Format = (name, value) => {
  checkNumber(name, value, 0, Number.MAX_SAFE_INTEGER, 'a number of microseconds');
  return String(Math.ceil(value));
};

/** A carriage return ends a line, too, in systemd's eyes: what follows would be another variable. */
const line: Format = (name, value) => {
  checkText(name, value);
  if (/[\n\r\0]/.test(value)) throw wrongKind(name, 'one line', value);
  return value;
};

const fdName: Format = (name, value) => {
  checkText(name, value);
  if (!/^[ -9;-~]{1,255}$/.test(value))
    throw outOfRange(name, '1 to 255 printable ASCII characters without `:`', value);
  return value;
};

const FORMATS: Readonly<Record<Exclude<keyof Notification, `X_${string}`>, Format>> = {
  READY: only(1),
  RELOADING: only(1),
  STOPPING: only(1),
  MONOTONIC_USEC: microseconds,
  STATUS: line,
  ERRNO: integer(0),
  BUSERROR: line,
  VARLINKERROR: line,
  EXIT_STATUS: integer(0, 255),
  MAINPID: pid,
  MAINPIDFDID: inode,
  MAINPIDFD: only(1),
  NOTIFYACCESS: only('none', 'main', 'exec', 'all'),
  RESTART_RESET: only(1),
  WATCHDOG: only(1, 'trigger'),
  WATCHDOG_USEC: microseconds,
  EXTEND_TIMEOUT_USEC: microseconds,
  FDSTORE: only(1),
  FDSTOREREMOVE: only(1),
  FDNAME: fdName,
  FDPOLL: only(0),
  BARRIER: only(1),
};

/**
 * A notification as it is sent, one line a variable.
 * @param fds how many descriptors go along
 * @throws TypeError and RangeError for what sd_notify(3) has no place for
 */
export function formatNotification(notification: Notification, fds = 0): string {
  checkObject('notification', notification);
  const variables = Object.entries(notification).filter(([, value]) => value !== undefined);
  const text = variables.map(([name, value]) => `${name}=${formatOf(name)(name, value)}`).join('\n');
  const { BARRIER, MAINPIDFD } = notification;
  if ((BARRIER ?? MAINPIDFD) !== undefined && fds !== 1) {
    throw outOfRange('fds', `one descriptor, for ${BARRIER === undefined ? 'MAINPIDFD' : 'BARRIER'}`, fds);
  }
  if (BARRIER !== undefined && variables.length > 1) {
    throw outOfRange('notification', 'nothing else beside BARRIER', text);
  }
  return text;
}

function formatOf(name: string): Format {
  if (/^X_[A-Z0-9_]+$/.test(name)) return line;
  if (!isVariable(name)) throw outOfRange('notification', 'variables of sd_notify(3)', name);
  return FORMATS[name];
}

function isVariable(name: string): name is keyof typeof FORMATS {
  return Object.hasOwn(FORMATS, name);
}

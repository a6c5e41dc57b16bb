import {
  checkArray,
  checkChoice,
  checkFd,
  checkInteger,
  checkObject,
  checkText,
  outOfRange,
  UINT32_MAX,
  wrongKind,
} from '../arguments.js';
import { Fd } from '../fd/fd.js';
import { type Signal, signalNumber } from '../signal/signal.js';

/** What a process can be limited in, by the names and in the units of getrlimit(2); their numbers. */
export const RESOURCES = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
} as const;

/** A soft and a hard limit, integers of 0 or more, `Infinity` for none. getrlimit(2) */
export type SpawnLimit = readonly [soft: number, hard: number];

/** Whose privileges a child has. credentials(7) */
export interface SpawnUser {
  /** Real, effective and saved user id, 0 to 2³² − 2. */
  readonly uid: number;
  /** Real, effective and saved group id, 0 to 2³² − 2. */
  readonly gid: number;
  /** Supplementary groups, by default none: those that the user has in the database are not looked up. */
  readonly groups?: readonly number[];
}

/** A descriptor that a child is activated with. */
export interface SpawnListenFd {
  /** Up to 255 characters of printable ASCII without ':'; may be empty, and the same as another one's. */
  readonly name: string;
  readonly fd: number | Fd;
}

export interface SpawnOptions {
  /** The arguments after the program's name. */
  readonly args?: readonly string[];
  /** The whole environment; by default this process's own. */
  readonly env?: Readonly<NodeJS.ProcessEnv>;
  /**
   * What the child finds as its descriptors 0, 1, 2, …: one of ours, which it gets a copy of, or `null` for /dev/null.
   * By default it shares 0 to 2, which must then be open.
   */
  readonly fds?: readonly (number | Fd | null)[];
  /**
   * What it finds as its descriptors 3, 4, …, in this order, as one that systemd activates: with LISTEN_FDS, LISTEN_FDNAMES and
   * LISTEN_PID in its environment. sd_listen_fds(3). The same variables of `env` are left out, LISTEN_PIDFDID, too; all of them when
   * there are no descriptors. `fds` has three at most then. Of an object whose names look like array indices these come first.
   */
  readonly listenFds?: readonly SpawnListenFd[] | Readonly<Record<string, number | Fd>>;
  /**
   * What becomes of all others, of which the child has copies until then: `closed`, the default, while this call waits; or
   * `close-on-exec`, those that are so, once the program has begun. Closing a copy may wait for ever, as for a FUSE server
   * that does not answer, and then it is better that the child does so alone.
   */
  readonly others?: 'closed' | 'close-on-exec';
  /**
   * Where it starts; also what a `file` with a slash that is not absolute is relative to. It goes there with our privileges, before
   * it becomes another user.
   */
  readonly cwd?: string;
  /** Runs it in a new session, or in a new process group, of its own. */
  readonly group?: 'session' | 'process-group';
  /**
   * The user that it becomes before the program begins. setgroups(2), setresgid(2), setresuid(2); EPERM without the capabilities.
   *
   * From then on that user's other processes may send it signals. One that stops it holds up this call, too, until the child goes on.
   */
  readonly user?: SpawnUser;
  /** Its file mode creation mask, 0 to 0o777; by default ours. umask(2) */
  readonly umask?: number;
  /** Its limits where they are not ours. prlimit(2); EPERM for a hard one above ours without CAP_SYS_RESOURCE. */
  readonly limits?: Readonly<Partial<Record<keyof typeof RESOURCES, SpawnLimit>>>;
  /**
   * The signal that it gets when the thread that called `spawn` ends, the main thread with the process. PR_SET_PDEATHSIG(2const):
   * a program that is set-user-ID or has capabilities does not get it.
   * @throws EAGAIN where children are in another PID namespace than we, from which it can't be seen whether the parent is alive
   */
  readonly parentDeathSignal?: Signal;
}

const MAX_NAME = 255;

/** @throws TypeError and RangeError for what no child can be given */
export function checkSpawnOptions(options: SpawnOptions): void {
  checkObject('options', options, 'an object, of which the arguments are `args`');
  const { args, env, fds, listenFds, others, cwd, group, user, umask, limits, parentDeathSignal } = options;
  if (args !== undefined) checkArray('args', args, checkText);
  if (env !== undefined) checkEnvironment(env);
  if (fds !== undefined) checkArray('fds', fds, checkSource);
  if (listenFds !== undefined) checkListenFds(listenFds, fds);
  if (others !== undefined) checkChoice('others', others, ['closed', 'close-on-exec']);
  if (cwd !== undefined) checkText('cwd', cwd);
  if (group !== undefined) checkChoice('group', group, ['session', 'process-group']);
  if (user !== undefined) checkUser(user);
  if (umask !== undefined) checkInteger('umask', umask, 0, 0o777);
  if (limits !== undefined) checkLimits(limits);
  if (parentDeathSignal !== undefined) checkSignal('parentDeathSignal', parentDeathSignal);
}

/** The descriptors of `listenFds` with their names. */
export function listenFdList(listenFds: NonNullable<SpawnOptions['listenFds']>): readonly SpawnListenFd[] {
  return isList(listenFds) ? listenFds : Object.entries(listenFds).map(([name, fd]) => ({ name, fd }));
}

/** Array.isArray() does not know read-only ones. */
function isList(listenFds: NonNullable<SpawnOptions['listenFds']>): listenFds is readonly SpawnListenFd[] {
  return Array.isArray(listenFds);
}

function checkEnvironment(env: unknown): void {
  checkObject('env', env);
  for (const [name, value] of Object.entries(env)) if (value !== undefined) checkText(`env.${name}`, value);
}

function checkSource(name: string, source: unknown): void {
  if (source !== null) checkOpen(name, source);
}

function checkOpen(name: string, fd: unknown): void {
  if (!(fd instanceof Fd)) checkFd(fd, name);
}

function checkListenFds(listenFds: NonNullable<SpawnOptions['listenFds']>, fds: SpawnOptions['fds']): void {
  if (isList(listenFds)) {
    checkArray('listenFds', listenFds, (at, item) => {
      checkObject(at, item);
      const { name, fd } = item as Partial<SpawnListenFd>;
      checkName(`${at}.name`, name);
      checkOpen(`${at}.fd`, fd);
    });
  } else {
    checkObject('listenFds', listenFds, 'an array of names and descriptors, or an object');
    for (const [name, fd] of Object.entries(listenFds)) {
      checkName('a name of listenFds', name);
      checkOpen(`listenFds.${name}`, fd);
    }
  }
  if (fds !== undefined && fds.length > 3) throw outOfRange('fds', 'an array of 3 at most beside `listenFds`', fds);
}

function checkName(at: string, name: unknown): void {
  checkText(at, name);
  if (name.length <= MAX_NAME && /^[ -9;-~]*$/.test(name)) return;
  throw outOfRange(at, `up to ${MAX_NAME} characters of printable ASCII without ':'`, name);
}

function checkUser(user: unknown): void {
  checkObject('user', user);
  const { uid, gid, groups } = user as Partial<SpawnUser>;
  checkId('user.uid', uid);
  checkId('user.gid', gid);
  if (groups !== undefined) checkArray('user.groups', groups, checkId);
}

/** The last number stands for "as it is" in the kernel. */
function checkId(name: string, id: unknown): void {
  checkInteger(name, id, 0, UINT32_MAX - 1);
}

function checkLimits(limits: unknown): void {
  checkObject('limits', limits);
  for (const [resource, limit] of Object.entries(limits)) {
    checkChoice('a name of limits', resource, Object.keys(RESOURCES));
    if (limit !== undefined) checkLimit(`limits.${resource}`, limit);
  }
}

function checkLimit(name: string, limit: unknown): void {
  if (!Array.isArray(limit) || limit.length !== 2) throw wrongKind(name, 'an array of a soft and a hard limit', limit);
  checkArray(name, limit, (at, value) => {
    if (value !== Infinity) checkInteger(at, value, 0);
  });
  if (limit[0] > limit[1]) throw outOfRange(name, 'a soft limit that is not above the hard one', limit);
}

function checkSignal(name: string, signal: Signal): void {
  if (typeof signal !== 'number' && typeof signal !== 'string')
    throw wrongKind(name, "a signal's name or number", signal);
  try {
    signalNumber(signal);
  } catch {
    throw outOfRange(name, "a signal's name or number", signal);
  }
}

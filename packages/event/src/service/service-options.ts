import {
  checkArray,
  checkBoolean,
  checkChoice,
  checkFunction,
  checkInteger,
  checkNumber,
  checkObject,
  checkText,
  type Fd,
  outOfRange,
  type Signal,
  signalNumber,
  wrongKind,
} from '@sdrx/linux';
import { checkRestartProgram, type RestartProgram } from '../restart/program.js';
import type { IdleOptions } from './idle.js';
import { checkServiceSystem, type ServiceSystem } from './service-system.js';
import type { SocketDeclarations } from './socket-declaration.js';

/** How a service restarts without loss. */
export interface RestartOptions {
  /**
   * Who starts the next process. By default `this-process`: the two overlap, and nobody waits; see `handOver`. With `manager` this one ends
   * first, and the service manager starts the next one, with the sockets of socket units and, out of its fd store, `state`, `last` and
   * `fds`: in an environment as of the first start, with the settings that the unit has by then. Clients wait meanwhile. What is handed on
   * is stored at every end that is asked for, so `systemctl restart` has it, too. The unit needs Restart=always and
   * FileDescriptorStoreMax=.
   */
  readonly by?: 'this-process' | 'manager';
  /** Which signals ask for it, by default SIGHUP alone. */
  readonly signals?: readonly Signal[];
  /** What the next process is to know, as JSON; asked for late, when that process has its sockets. */
  readonly state?: () => unknown;
  /** What it is to know besides, when all connections of this process have ended. */
  readonly last?: () => unknown;
  /** Descriptors that it is to have, by name. They stay this process's, too. */
  readonly fds?: () => Readonly<Record<string, number | Fd>>;
  /** How long it may take until it is ready, in milliseconds; more when it tells of progress. By default 60,000. */
  readonly readyWithin?: number;
  /** How many former processes may still have connections when another restart begins, by default 2. */
  readonly mostDraining?: number;
  /** By default what this process was started as. */
  readonly program?: RestartProgram;
}

/** What a service is. */
export interface ServiceOptions<D extends SocketDeclarations = SocketDeclarations> {
  /** Its sockets, by name: as `openSockets` opens them. */
  readonly sockets?: D;
  /** Options of the command line that say where to listen; see `openSockets`. */
  readonly conflicts?: Readonly<Record<string, unknown>>;
  /** Ends it when there was nothing to do for a time, in milliseconds; only if it was activated, unless `always`. */
  readonly idle?: number | ServiceIdleOptions;
  /** Lets it restart without loss. By default not. */
  readonly restart?: boolean | RestartOptions;
  /** A file for its process id. */
  readonly pidFile?: string;
  /** The path of a socket that `sdrx-control` speaks to: `restart`, `stop`, `status`. Only for this user. */
  readonly control?: string;
  /** How long connections, and each step of the end, may take until they are broken off, in milliseconds. By default 30,000. */
  readonly deadline?: number;
  /** Gets what goes wrong, which does not end the service, or ends it. By default standard error does, one line each. */
  readonly report?: (error: unknown) => void;
  /** What it runs on, by default Linux. A test has another one. */
  readonly system?: ServiceSystem;
}

/** When a service ends because there is nothing to do. */
export interface ServiceIdleOptions extends IdleOptions {
  /** Also when it was not activated, and nobody would start it again. By default not. */
  readonly always?: boolean;
}

/** @throws TypeError and RangeError for what no service can be */
export function checkServiceOptions(options: ServiceOptions): void {
  checkObject('options', options);
  const { sockets, conflicts, idle, restart, pidFile, control, deadline, report, system } = options;
  if (sockets !== undefined) checkObject('sockets', sockets);
  if (conflicts !== undefined) checkObject('conflicts', conflicts);
  if (idle !== undefined && typeof idle !== 'object') checkNumber('idle', idle, 0);
  if (typeof idle === 'object') checkIdleOptions(idle);
  if (pidFile !== undefined) checkText('pidFile', pidFile);
  if (control !== undefined) checkControl(control);
  if (deadline !== undefined && deadline !== Number.POSITIVE_INFINITY) checkNumber('deadline', deadline, 0);
  if (report !== undefined) checkFunction('report', report);
  if (system !== undefined) checkServiceSystem('system', system);
  if (typeof restart === 'object') checkRestartOptions(restart);
  else if (restart !== undefined && typeof restart !== 'boolean')
    throw wrongKind('restart', 'a boolean or an object', restart);
}

function checkControl(path: string): void {
  checkText('control', path);
  // Whoever shares the network namespace may connect to it.
  if (path.startsWith('@')) throw outOfRange('control', 'a path, as abstract names have no mode', path);
}

function checkIdleOptions(idle: ServiceIdleOptions): void {
  checkObject('idle', idle);
  checkNumber('idle.after', idle.after, 0);
  if (idle.minimumUptime !== undefined) checkNumber('idle.minimumUptime', idle.minimumUptime, 0);
  if (idle.always !== undefined) checkBoolean('idle.always', idle.always);
}

function checkRestartOptions(restart: RestartOptions): void {
  checkObject('restart', restart);
  const { by, signals, readyWithin, mostDraining, program } = restart;
  if (by !== undefined) checkChoice('restart.by', by, ['this-process', 'manager']);
  if (signals !== undefined) checkArray('restart.signals', signals, (_, signal) => signalNumber(signal as Signal));
  for (const name of ['state', 'last', 'fds'] as const) {
    if (restart[name] !== undefined) checkFunction(`restart.${name}`, restart[name]);
  }
  if (readyWithin !== undefined) checkNumber('restart.readyWithin', readyWithin, 0, 0x7fff_ffff);
  if (mostDraining !== undefined) checkInteger('restart.mostDraining', mostDraining, 0);
  if (program !== undefined) checkRestartProgram('restart.program', program);
}

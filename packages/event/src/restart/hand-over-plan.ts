import {
  checkArray,
  checkFunction,
  checkInstance,
  checkInteger,
  checkMethods,
  checkNumber,
  checkObject,
  type Fd,
} from '@sdrx/linux';
import type { HandedSocket } from '../service/service-socket.js';
import type { Serving } from '../service/serving.js';
import { checkRestartProgram, type RestartProgram } from './program.js';
import { checkRestartSystem, type RestartSystem } from './restart-system.js';

/** How far a restart has come, in the order in which it goes. */
export type RestartPhase =
  /** The new process is there, and has what it was handed in its channel. */
  | 'spawned'
  /** It has taken it. */
  | 'taken'
  /** It has the state. */
  | 'state-sent'
  /** It is ready to serve. */
  | 'ready'
  /** It may serve; what is exclusive is not served by this process any more. */
  | 'accept'
  /** It serves, and this process does not any more. */
  | 'accepting'
  /** The service manager was told of it. */
  | 'told'
  /** The service manager has heard it. */
  | 'heard'
  /** It is the service now. */
  | 'main';

/** What a process hands to its successor, and how. */
export interface HandOverPlan {
  /** The sockets. They stay this process's, too. */
  readonly sockets?: readonly HandedSocket[];
  /** Other descriptors, by name. They stay this process's, too. */
  readonly fds?: Readonly<Record<string, number | Fd>>;
  /** What the successor is to know, as JSON; asked for when it has taken the sockets, so that it is of the last moment. */
  readonly state?: () => unknown;
  /** What this process serves; it goes on when the restart fails. */
  readonly servings?: readonly Serving[];
  /** Pidfds of processes that this one has taken over from and that still have connections. */
  readonly draining?: readonly Fd[];
  /** The number of this process's generation, by default 0. */
  readonly generation?: number;
  /** By default what this process was started as, in the form that its files have by now. */
  readonly program?: RestartProgram;
  /** How long the successor may take until it is ready, in milliseconds; more when it tells of progress. By default 60,000. */
  readonly readyWithin?: number;
  /**
   * Called at each phase, before anything of the next one is done. What it throws fails the restart; at `main`, when it has been,
   * it is an uncaught exception.
   */
  readonly onPhase?: (phase: RestartPhase, pid: number) => void;
  /** Gives up when aborted, unless the service manager has been told already. */
  readonly signal?: AbortSignal;
  /** What it all runs on, by default Linux. A test has another one. */
  readonly system?: RestartSystem;
}

/** @throws TypeError and RangeError for what is none */
export function checkPlan(plan: HandOverPlan): void {
  checkObject('plan', plan);
  const { sockets, fds, state, servings, draining, generation, program, readyWithin, onPhase, signal, system } = plan;
  if (sockets !== undefined) checkArray('sockets', sockets, checkObject);
  if (fds !== undefined) checkObject('fds', fds);
  if (state !== undefined) checkFunction('state', state);
  if (servings !== undefined) {
    checkArray('servings', servings, (name, serving) => checkMethods(name, serving, 'a Serving', 'pause', 'resume'));
  }
  if (draining !== undefined) checkArray('draining', draining, checkObject);
  if (generation !== undefined) checkInteger('generation', generation, 0);
  if (program !== undefined) checkRestartProgram('program', program);
  if (readyWithin !== undefined) checkNumber('readyWithin', readyWithin, 0, 0x7fff_ffff);
  if (onPhase !== undefined) checkFunction('onPhase', onPhase);
  if (signal !== undefined) checkInstance('signal', signal, AbortSignal);
  if (system !== undefined) checkRestartSystem('system', system);
}

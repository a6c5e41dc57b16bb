import { availableParallelism } from 'node:os';
import type { Child } from '@sdrx/event';
import { atLoad, becomeSubreaper, isSeenWaiting, type Signal } from '@sdrx/linux';
import { childrenOf } from '../program/children-of.js';
import type { EarlyWorker } from './early-worker.js';
import { startWorker, type WorkerOptions, type WorkerStart } from './worker-program.js';

/** A process, as far as the pool has to do with it. */
export interface WorkerProcess extends Disposable {
  readonly pid: number;
  /** Sends it a signal. @returns false when it is gone */
  kill(signal: Signal): boolean;
}

/** A worker that was started. */
export interface StartedWorker {
  readonly process: WorkerProcess;
  /** By what a loop watches it. */
  readonly child: Child;
  /** Lets it begin; undefined if it does not wait. To be called as well when it has ended, once. */
  readonly begin: (() => void) | undefined;
}

/**
 * What the pool asks the system for; its loop and its ledger aside, that is all that it has from outside. `linuxSystem` asks
 * Linux. A test has one that it drives itself, beside a `VirtualLoop`.
 */
export interface PoolSystem {
  /** How many processors there are. */
  readonly processors: number;
  /** Throws what `spawn` throws. */
  start(options: WorkerOptions): StartedWorker;
  /** Whether connections wait at a listening socket. */
  isSeenWaiting(fd: number): boolean;
  /** From now on processes whose parent has ended are children of this one. PR_SET_CHILD_SUBREAPER(2const) */
  becomeSubreaper(): void;
  /** The ids of all children of this process, those included that have ended and were not reaped. Throws EMFILE and the like. */
  children(): number[];
  /** Kills a child that is no worker. kill(2) */
  kill(pid: number): void;
  /** Calls once, after so many milliseconds, without the loop: it may be the loop that lacks something. @returns what prevents it */
  later(milliseconds: number, call: () => void): () => void;
}

/** What the daemon runs on. */
export const linuxSystem: PoolSystem = {
  processors: availableParallelism(),
  start: (options) => started(startWorker(options)),
  isSeenWaiting,
  becomeSubreaper,
  children: () => childrenOf('self'),
  kill: (pid) => void process.kill(pid, 'SIGKILL'),
  later: (milliseconds, call) => {
    const timer = atLoad.setTimeout(call, milliseconds).unref();
    return () => atLoad.clearTimeout(timer);
  },
};

/** The same, but that a worker which was begun before is the first one. */
export function systemWith(early: EarlyWorker | undefined): PoolSystem {
  return { ...linuxSystem, start: (options) => started(startWorker(options, early)) };
}

function started({ process, begin }: WorkerStart): StartedWorker {
  return { process, child: process, begin };
}

import type { Fd } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { RestartPhase } from '../restart/hand-over-plan.js';
import type { RestartError } from '../restart/restart-error.js';
import type { Scope } from './scope.js';
import type { Serving } from './serving.js';
import type { SocketDeclarations, Sockets } from './socket-declaration.js';

/** What happens in the life of a service. */
export type ServiceEvent = ReadyEvent | RestartingEvent | RestartFailedEvent | RestartedEvent | EndingEvent;

/** The service is ready, and the service manager knows. */
export interface ReadyEvent {
  /** Tells it from the others. */
  readonly type: 'ready';
}

/** A restart has come so far. */
export interface RestartingEvent {
  /** Tells it from the others. */
  readonly type: 'restarting';
  /** How far. */
  readonly phase: RestartPhase;
  /** The new process's id. */
  readonly pid: number;
}

/** A restart did not take place. All is as before. */
export interface RestartFailedEvent {
  /** Tells it from the others. */
  readonly type: 'restart-failed';
  /** Why. */
  readonly error: RestartError;
}

/** Another process is the service now; this one ends when its connections have. */
export interface RestartedEvent {
  /** Tells it from the others. */
  readonly type: 'restarted';
  /** The other process's id. */
  readonly pid: number;
}

/** The end has begun. */
export interface EndingEvent {
  /** Tells it from the others. */
  readonly type: 'ending';
  /** Because somebody wants it, nobody wants anything, another process goes on, or the start was none. */
  readonly why: 'asked' | 'idle' | 'restarted' | 'failed';
}

/** A service that runs, as `runService` gives it to the program that makes it up. */
export interface Service<D extends SocketDeclarations = SocketDeclarations> {
  /** What its sources belong to. It runs already. */
  readonly loop: EventLoop;
  /** What is ended with the service, the last first. */
  readonly scope: Scope;
  /** The sockets that were declared: passed, handed over, or own. They are closed with the service. */
  readonly sockets: Sockets<D>;
  /** Whether the service manager has passed them. */
  readonly activated: boolean;
  /** How many times it was restarted without loss: 0 in the first process. */
  readonly generation: number;
  /** What the former process has handed on by `restart.state`; undefined in the first one. It comes from another program: check it. */
  readonly state: unknown;
  /** What the former process knew at last, by `restart.last`; comes once, or completes when that is gone without. */
  readonly last: Observable<unknown>;
  /** What happens from now on. */
  readonly events: Observable<ServiceEvent>;
  /** Aborted when the end begins. */
  readonly ending: AbortSignal;
  /** When this process is the service: ready, and no other one before it. Never, if it does not come to that. */
  readonly current: Promise<void>;
  /** When no former process has a connection any more. */
  readonly alone: Promise<void>;
  /** Serves from when the service is ready to its end, where it is drained. */
  serve<S extends Serving>(serving: S): S;
  /** Counts what keeps it from being idle beside what it serves: the present number, and every later one. */
  keepsBusy(count: Observable<number>): void;
  /** Takes a descriptor that the former process has handed on by `restart.fds`; the caller closes it. Those not taken at its start are closed. */
  take(name: string): Fd | undefined;
  /** Says how the start comes on, and how long it may take from now on, in milliseconds. */
  progress(text: string, extend: number): void;
  /** Restarts without loss. @returns the new process's id, undefined if the service manager starts it; rejects with RestartError */
  restart(): Promise<number | undefined>;
  /** Ends it as SIGTERM does; a second time at once. */
  stop(): void;
}

import type { ControlSocket, EventLoop, Predecessor } from '@sdrx/event';
import {
  concat,
  defer,
  EMPTY,
  finalize,
  from,
  ignoreElements,
  lastValueFrom,
  merge,
  type Observable,
  takeUntil,
  tap,
} from 'rxjs';
import { Ledger } from '../limits/ledger.js';
import type { Limits } from '../limits/limits.js';
import type { Releases } from '../namespace/releases.js';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Log } from '../program/log.js';
import type { ExclusiveWork } from './exclusive-work.js';
import type { ManagerLock } from './manager-lock.js';
import { readManagerState } from './manager-state.js';
import type { Office } from './office.js';

/**
 * How long each of the first workers may take until it serves, after the one before, in milliseconds. On a busy machine that is long;
 * one that hangs is replaced before.
 */
const WORKER_PATIENCE = 180_000;

/** How much longer than their calls workers may take to end when another manager has taken over, in milliseconds. */
const RETIREMENT = 10_000;

/** How long what is being released is waited for then, in milliseconds. Who takes over finds the rest. */
const RELEASE_PATIENCE = 5000;

/** How long the answers to commands may take to be read, in milliseconds. */
const ANSWER_PATIENCE = 1000;

/** What belongs to the manager, whichever process that is. */
export interface Insignia {
  /** Makes it this process's. */
  claim(): void;
  /** Leaves it to another process. */
  resign(): void;
}

export interface SuccessionParts {
  readonly loop: EventLoop;
  /** The manager that gives way to this process, if it was started by one. */
  readonly former: Predecessor | undefined;
  readonly office: Office;
  readonly lock: ManagerLock;
  readonly socket: Insignia;
  readonly control: Insignia;
  readonly pool: WorkerPool;
  readonly exclusive: ExclusiveWork;
  readonly commands: ControlSocket;
  readonly releases: Releases;
  readonly ledger: Ledger | undefined;
  /** Whether the user namespace interfaces are on. */
  readonly api: boolean;
  readonly limits: Limits;
  readonly log: Log;
}

/** How this process becomes the manager, at its start or in place of another one, and how it gives way to the next. */
export class Succession {
  readonly #insignia: readonly Insignia[];

  constructor(readonly parts: SuccessionParts) {
    const { lock, socket, control, former } = parts;
    this.#insignia = [lock, socket, control];
    if (former === undefined) this.#takeOffice();
  }

  /** Takes what the former manager knows; completes when workers may be started. Fails when they would be worse than its own. */
  prepare(): Observable<unknown> {
    const { former, loop, ledger, log } = this.parts;
    if (former === undefined) return from([undefined]);
    return defer(async () => {
      const { api = false, barred = [], logLevel, logTarget } = readManagerState(await former.state(loop));
      if (api && !this.parts.api) throw new Error('the user namespace interfaces would be disabled, which work now');
      for (const uid of barred) ledger?.bar(uid);
      if (logLevel !== undefined) log.level = logLevel;
      if (logTarget !== undefined) log.target = logTarget;
    });
  }

  /** Becomes the manager when workers of its own serve. The former one goes on if this fails. */
  takeCharge(former: Predecessor): Observable<never> {
    const { office, pool, exclusive } = this.parts;
    return defer(async () => {
      const extend = (begun: number) => former.progress(`Reloading: ${begun} workers serve`, WORKER_PATIENCE);
      extend(0);
      await lastValueFrom(pool.begin().pipe(tap(extend)));
      await former.ready();
      // The former manager does it no more.
      exclusive.resume();
      await former.accepting();
      office.isManager = true;
      for (const each of this.#insignia) each.claim();
      this.#takeOffice();
    }).pipe(ignoreElements());
  }

  /** What the former manager was told, and has passed on since it is the manager no more. */
  requests(): Observable<'stop' | 'reload'> {
    const { former } = this.parts;
    if (former === undefined) return EMPTY;
    return from(requestsOf(former));
  }

  /** Lets what this process has begun come to its end, while another one is the manager, and completes. */
  giveWay(): Observable<never> {
    const { loop, office, pool, releases, limits } = this.parts;
    office.isManager = false;
    for (const each of this.#insignia) each.resign();
    const released = loop.time({ after: RELEASE_PATIENCE, description: 'release at the end' });
    return concat(
      merge(pool.retire(limits.callTime + RETIREMENT), releases.settled().pipe(takeUntil(released))),
      this.endCommands(),
    ).pipe(ignoreElements());
  }

  /** Lets who has asked for something have the answer, and completes. */
  endCommands(): Observable<never> {
    const { loop, commands } = this.parts;
    return defer(() => {
      const late = new AbortController();
      const patience = loop.time({ after: ANSWER_PATIENCE, description: 'answers to commands' });
      const timeout = patience.subscribe(() => late.abort());
      return from(commands.drain({ signal: late.signal })).pipe(finalize(() => timeout.unsubscribe()));
    }).pipe(ignoreElements());
  }

  #takeOffice(): void {
    const { lock, commands, exclusive } = this.parts;
    Ledger.removeOthers(lock.runtimeDirectory);
    exclusive.resume();
    commands.resume();
  }
}

async function* requestsOf(former: Predecessor): AsyncGenerator<'stop' | 'reload'> {
  for await (const { type } of former.messages()) if (type !== 'last') yield type;
}

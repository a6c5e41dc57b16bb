import { ControlSocket, type EventLoop, handOver, type Predecessor, RestartError, type Successor } from '@sdrx/event';
import { type Fd, isReadable } from '@sdrx/linux';
import { ReplaySubject, Subject } from 'rxjs';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import type { ExclusiveWork } from './exclusive-work.js';
import type { FdStore } from './fd-store.js';
import { type Inheritance, inheritancePlan } from './inheritance.js';
import type { Office } from './office.js';
import { tellServiceManager } from './tell-service-manager.js';

/** How many managers may still be about to end when another one takes over. */
const MOST_FORMER = 4;

/** Why a manager is not reloaded that is the fd store of its workers. */
const LOSS = 'what it keeps for its workers, as no service manager does, would be lost: restart it';

export interface ReloadParts extends Inheritance {
  readonly loop: EventLoop;
  readonly office: Office;
  /** The manager that this process has taken over from, if there is one. */
  readonly former: Predecessor | undefined;
  /** Its workers take no more connections once those of the new process do. */
  readonly pool: Pick<WorkerPool, 'relieve' | 'relieved'>;
  /** Paused while another process is the manager. */
  readonly exclusive: ExclusiveWork;
  /** What this process keeps for its workers, which it can't hand over; undefined if it keeps nothing. */
  readonly store: FdStore | undefined;
  /** What the service manager is told of a daemon that serves. */
  readonly status: string;
  readonly log: Log;
}

/**
 * Has the program that lies at this one's path by now take over as the manager. What fails leaves everything as it was, and is said.
 *
 * Asked by SIGHUP, that is done once more if it was asked for again meanwhile: the program may have become another one.
 *
 * The control socket is a part of it: to reload is what it is asked for, and a reload pauses it.
 */
export class Reload implements Disposable {
  /** Emits once, when another process is the manager. */
  readonly succeeded = new ReplaySubject<Successor>(1);
  /** Emits when a process that was to take over is gone again. */
  readonly failed = new Subject<void>();
  /** Serves the control socket; begins paused. */
  readonly commands: ControlSocket;
  readonly #stop = new AbortController();
  #attempt: Promise<unknown> | undefined;
  #successor: Successor | undefined;
  #again = false;

  constructor(readonly parts: ReloadParts) {
    this.commands = new ControlSocket(parts.control.fd, {
      reload: async () => `process ${await this.reload()} has taken over from process ${process.pid}`,
    });
  }

  /** For SIGHUP. */
  ask(): void {
    if (this.#successor !== undefined) this.#successor.reload();
    else if (this.#attempt !== undefined || !this.parts.office.isManager) this.#again = true;
    else this.#begin().catch(() => {});
  }

  /** Does what was asked for before this process was the manager. */
  catchUp(): void {
    if (!this.#again) return;
    this.#again = false;
    this.ask();
  }

  /** @returns the new manager's process id. Rejects with RestartError when this process stays the manager */
  async reload(): Promise<number> {
    if (this.#attempt !== undefined) throw new RestartError('in-progress');
    return await this.#begin();
  }

  /**
   * Gives up what is under way, unless it is too late. @returns the process that is the manager instead of this one, if it has become
   * that meanwhile
   */
  async stop(): Promise<Successor | undefined> {
    if (this.#successor !== undefined) return undefined;
    this.#stop.abort();
    await this.#attempt?.catch(() => {});
    return this.#successor;
  }

  /** Breaks off what the control socket is asked for: one of Node's servers would keep the process from ending. */
  [Symbol.dispose](): void {
    void this.commands.drain({ signal: AbortSignal.abort() });
  }

  #begin(): Promise<number> {
    const attempt = this.#handOver().finally(() => {
      this.#attempt = undefined;
      if (this.#successor === undefined) this.catchUp();
    });
    this.#attempt = attempt;
    return attempt;
  }

  async #handOver(): Promise<number> {
    const { loop, office, pool, exclusive, log } = this.parts;
    if (this.#successor !== undefined) throw new RestartError('not-current', `process ${this.#successor.pid}`);
    tellServiceManager({ RELOADING: 1, MONOTONIC_USEC: loop.now('monotonic') * 1e3, STATUS: 'Reloading' }, log);
    try {
      this.#refuse();
      const successor = await handOver(loop, {
        ...inheritancePlan(this.parts),
        servings: [exclusive, this.commands],
        draining: this.#running(),
        signal: this.#stop.signal,
        onPhase: (phase, pid) => {
          office.successor = pid;
          // If it fails after that they are replaced, as any that end.
          if (phase === 'accepting') pool.relieve();
        },
      });
      this.#successor = successor;
      log.info(
        `process ${successor.pid} has taken over`,
        undefined,
        about('reloaded', { SUCCESSOR_PID: successor.pid }),
      );
      if (this.#again) successor.reload();
      this.succeeded.next(successor);
    } catch (error) {
      office.successor = undefined;
      this.failed.next();
      this.#sayFailed(error);
      throw error;
    }
    // Who hears that it is done is never again answered by the old program.
    await pool.relieved();
    return this.#successor.pid;
  }

  #sayFailed(error: unknown): void {
    const { status, log } = this.parts;
    const reason = error instanceof Error ? error.message : String(error);
    log.warning(`not reloaded, this process goes on: ${reason}`, undefined, about('reloadFailed'));
    if (this.#stop.signal.aborted) return;
    // There is no word for a reload that failed: without this one it would never end.
    const said = `${status}. Not reloaded: ${reason.replaceAll(/\s+/g, ' ')}`;
    tellServiceManager({ READY: 1, STATUS: said }, log);
  }

  #refuse(): void {
    const { office, store } = this.parts;
    if (this.#stop.signal.aborted) throw new RestartError('stopping');
    if (!office.isManager) throw new RestartError('not-ready');
    if (store !== undefined) throw new Error(LOSS);
    const { length } = this.#running();
    if (length > MOST_FORMER) throw new RestartError('draining', `${length} processes, at most ${MOST_FORMER}`);
  }

  /** Those of the former managers that have not ended yet. */
  #running(): Fd[] {
    return (this.parts.former?.draining ?? []).filter(({ number }) => !isReadable(number));
  }
}

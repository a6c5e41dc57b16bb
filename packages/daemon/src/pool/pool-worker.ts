import type { JournalFields } from '@sdrx/event';
import type { Unsubscribable } from 'rxjs';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import type { PoolLedger } from './pool-ledger.js';
import type { WorkerProcess } from './pool-system.js';
import { type Health, type StartPatience, WorkerHealth } from './worker-health.js';

/** How many looks one has that was told to end, and then one that was killed, which only a hang in the kernel outlives. */
const END_LOOKS = 10;
const KILL_LOOKS = 5;

/** One worker of the pool: what it is good for, and its end if it is good for nothing any more. */
export class PoolWorker {
  /** What waits for its end. */
  watch: Unsubscribable | undefined;
  readonly #health = new WorkerHealth();
  #state: Health = 'starting';
  #end: 'told' | 'killed' | 'lost' | undefined;
  #waited = 0;
  #retired = false;

  /**
   * @param slot its slot in the ledger; undefined for a program that has none and is never judged
   * @param startedAt milliseconds on CLOCK_MONOTONIC
   */
  constructor(
    readonly process: WorkerProcess,
    readonly slot: number | undefined,
    readonly startedAt: number,
  ) {}

  get pid(): number {
    return this.process.pid;
  }

  /** Whether it can take connections, or will in a moment. */
  get serves(): boolean {
    return this.#end === undefined && (this.#state === 'starting' || this.#state === 'serving');
  }

  /** Whether it may take another connection, as far as it has said; of one that says nothing that can't be told. */
  mayAccept(ledger: PoolLedger): boolean {
    return this.slot !== undefined && ledger.condition(this.slot) !== 'draining';
  }

  /** Whether it has given a sign of life. */
  get started(): boolean {
    return this.#health.started;
  }

  /** Whether it was told to end, or killed, by us. */
  get dismissed(): boolean {
    return this.#end !== undefined;
  }

  /** Whether it outlives SIGKILL, in the kernel. Nobody can tell how long. */
  get lost(): boolean {
    return this.#end === 'lost';
  }

  /** Looks for its signs of life, and does what has to be done about it. */
  look(ledger: PoolLedger, patience: StartPatience, log: Log): void {
    if (this.#end !== undefined) this.#hasten(log);
    else if (this.slot !== undefined) this.#judge(ledger, this.slot, patience, log);
  }

  /** Tells it to finish what it has begun, however long that may take: others are there to serve. */
  retire(): void {
    // Once: of a second signal it would die.
    if (this.#end !== undefined || this.#retired) return;
    this.#retired = true;
    // Those of others know of one way only.
    this.process.kill(this.slot === undefined ? 'SIGTERM' : 'SIGHUP');
  }

  /** Tells it to finish what it has begun. */
  dismiss(): void {
    if (this.#end !== undefined) return;
    this.#end = 'told';
    this.process.kill('SIGTERM');
  }

  /** Ends it at once. */
  kill(): void {
    if (this.#end === 'lost') return;
    this.#end = 'killed';
    this.#waited = 0;
    this.process.kill('SIGKILL');
  }

  #judge(ledger: PoolLedger, slot: number, patience: StartPatience, log: Log): void {
    const { started, missed } = this.#health;
    this.#state = this.#health.look(ledger.beat(slot), ledger.condition(slot), patience.looks);
    if (this.#health.started && !started) patience.succeeded(missed);
    if (this.#state === 'silent') {
      log.warning(`worker ${this.pid} gives no sign of life, it is replaced`, undefined, this.#told);
      this.dismiss();
    } else if (this.#state === 'stillborn') {
      log.warning(`worker ${this.pid} has not begun to work, it is replaced`, undefined, this.#told);
      patience.failed();
      // There is nothing that it could finish.
      this.kill();
    }
  }

  /** What the journal is told of one that does not answer. */
  get #told(): JournalFields {
    return about('workerSilent', { WORKER_PID: this.pid });
  }

  #hasten(log: Log): void {
    this.#waited++;
    if (this.#end === 'told' && this.#waited >= END_LOOKS) {
      log.warning(`worker ${this.pid} does not end, it is killed`, undefined, this.#told);
      this.kill();
    } else if (this.#end === 'killed' && this.#waited >= KILL_LOOKS) {
      log.warning(`worker ${this.pid} hangs in the kernel and can't be killed, it is given up`, undefined, this.#told);
      this.#end = 'lost';
    }
  }
}

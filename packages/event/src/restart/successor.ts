import { EPOLLIN } from '@sdrx/linux';
import { type Subscription, take } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { Channel } from './channel.js';
import { sealValue } from './json-value.js';
import type { RestartSystem, StartedProcess } from './restart-system.js';

/** The process that is the service now. This one may end when it has no more to do. */
export interface Successor extends Disposable {
  /** Its process id. */
  readonly pid: number;
  /**
   * When it has ended without a word, as by a crash: not when it ends in order, or has given way to another one itself. It is this
   * process's child, but is not reaped: when this process ends, too, its end is told to whoever is the parent then, a service manager
   * say, which learns nothing of it before.
   */
  readonly crashed: Promise<void>;
  /** Has it end as by SIGTERM: for a SIGTERM that was sent to this process while it was the service. */
  stop(): void;
  /** Has it tell the service manager that it is reloaded: for a reload that was asked of this process while it was the service. */
  reload(): void;
  /** Tells it what this process knew at last, as JSON. */
  tell(last: unknown): void;
  /** Closes what this process has of it. The successor goes on. */
  [Symbol.dispose](): void;
}

/** One that was started by this process. */
export class StartedSuccessor implements Successor {
  readonly #channel: Channel;
  readonly #system: RestartSystem;
  readonly #child: StartedProcess;
  readonly #watch: Subscription;
  readonly crashed: Promise<void>;

  /** Takes over the channel and the pidfd. */
  constructor(loop: EventLoop, system: RestartSystem, channel: Channel, child: StartedProcess) {
    this.#system = system;
    this.#channel = channel;
    this.#child = child;
    let crashed = () => {};
    this.crashed = new Promise((resolve) => {
      crashed = resolve;
    });
    this.#watch = loop
      .io(child.pidfd, { events: EPOLLIN, description: 'successor' })
      .pipe(take(1))
      .subscribe({
        next: () => {
          if (!this.#hasSaidBye()) crashed();
        },
        // The loop has finished meanwhile, and with it all interest.
        error: () => {},
      });
  }

  get pid(): number {
    return this.#child.pid;
  }

  #hasSaidBye(): boolean {
    for (let said = this.#channel.readNow(); said !== undefined; said = this.#channel.readNow()) {
      for (const fd of said.fds) fd.close();
      if (said.message.type === 'bye') return true;
    }
    return false;
  }

  stop(): void {
    this.#channel.send({ type: 'stop' });
  }

  reload(): void {
    this.#channel.send({ type: 'reload' });
  }

  tell(last: unknown): void {
    using file = sealValue(this.#system, 'last state', last);
    this.#channel.send({ type: 'last' }, [file.number]);
  }

  [Symbol.dispose](): void {
    this.#watch.unsubscribe();
    this.#child[Symbol.dispose]();
    this.#channel[Symbol.dispose]();
  }
}

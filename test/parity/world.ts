import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Child, EventLoop } from '@sdrx/event';
import type * as linux from '@sdrx/linux';

export type Verbs = Readonly<Record<string, (...args: string[]) => void>>;

/** The statements that each world executes in its own way. */
export type WorldVerbs = Readonly<
  Record<
    | ('eventfd' | 'sockets' | 'fifo' | 'file' | 'listen' | 'accept')
    | ('add' | 'take' | 'send' | 'receive' | 'close' | 'open')
    | ('touch' | 'mkdir' | 'rename' | 'delete' | 'chmod' | 'overflow')
    | ('process' | 'await' | 'kill' | 'alive' | 'queue' | 'sleep'),
    (...args: string[]) => void
  >
>;

/** What a scenario can't have in a world. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

/** What a scenario's sources are about: descriptors, files, processes, signals, the environment. Its folder is the current one. */
export abstract class World {
  /** A real one in any world: what is said to a service manager is said there. */
  protected readonly folder = mkdtempSync(join(tmpdir(), 'sdrx-test-'));
  readonly #environment = new Set<string>();
  readonly #cookies: number[] = [];
  /** The signals that were raised and not dispatched yet. */
  readonly raised = new Set<string>();

  constructor(protected readonly trace: (line: string) => void) {
    process.chdir(this.folder);
  }

  /** The loop, which is not run yet. */
  abstract readonly loop: EventLoop;
  protected abstract readonly own: WorldVerbs;

  /** Runs the loop to its end. @returns its exit code */
  abstract run(): Promise<number>;
  /** What `EventLoop.io` is given. */
  abstract descriptor(name: string, own: boolean): linux.Fd | number;
  /** What `EventLoop.child` is given. */
  abstract process(name: string): Child;
  /** What `EventLoop.inotify` is given. */
  abstract path(path: string): string;
  /** Lets the clock go on, at once. */
  abstract passTime(clock: linux.Clock): void;
  protected abstract sendSelf(signal: linux.Signal): void;
  /** Makes the socket that a service manager listens to, `notify`. */
  protected abstract manager(name: string): void;

  get verbs(): Verbs {
    return { ...this.own, ...this.#verbs };
  }

  /** Cookies are numbered as they come. */
  cookieNumber(cookie: number): number {
    if (!this.#cookies.includes(cookie)) this.#cookies.push(cookie);
    return this.#cookies.indexOf(cookie) + 1;
  }

  /** Takes everything away, so that the next scenario finds nothing of it; the trace tells what can't be. */
  cleanUp(): void {
    for (const name of this.#environment) delete process.env[name];
    process.chdir('/');
    rmSync(this.folder, { recursive: true });
  }

  readonly #verbs: Verbs = {
    manager: (name = '') => {
      this.manager(name);
      this.#setEnvironment('NOTIFY_SOCKET', './notify');
    },
    // Not while one is under way, which would take it in, or not.
    raise: (signal = '') => {
      if (this.raised.has(signal)) return;
      this.raised.add(signal);
      this.sendSelf(signal as linux.Signal);
    },
    environment: (name = '', value = '') => this.#setEnvironment(name, value),
  };

  /** A value that begins with `./` is made an absolute path. */
  #setEnvironment(name: string, value: string): void {
    process.env[name] = value.startsWith('./') ? resolve(value) : value;
    this.#environment.add(name);
  }
}

export function found<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`nothing has the name ${name}`);
  return value;
}

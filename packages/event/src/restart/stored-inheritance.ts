import { checkInteger, checkObject, type Fd } from '@sdrx/linux';
import { removeStoredFds, storeFds } from '../service/fd-store.js';
import { messageOf } from '../service/message-of.js';
import type { PassedFds } from '../service/passed-fds.js';
import { readSealedValue, sealValue } from './json-value.js';
import { linuxSealedFiles } from './sealed-files.js';

/*
 * The other way to restart: the service manager keeps the sockets, and in its fd store what the next process is to know and have, until
 * it starts that. FileDescriptorStoreMax= of the unit, systemd.service(5)
 */

/** Names in the fd store: of the two values, and before those of the descriptors. No socket unit gives such names by itself. */
const STATE = 'sdrx.state';
const LAST = 'sdrx.last';
const FD = 'sdrx.fd.';

/** What a process leaves when its end begins. */
export interface Inheritance {
  /** How many times the service was restarted before the next process. */
  readonly generation: number;
  /** As JSON; undefined if there is none. */
  readonly state: unknown;
  /** Descriptors by name. They stay the caller's. */
  readonly fds: Readonly<Record<string, number | Fd>>;
}

/**
 * Leaves it with the service manager, in place of what is there.
 * @returns whether it will be kept, as far as is known; see `storeFds`
 */
export function leaveInheritance({ generation, state, fds }: Inheritance): boolean {
  removeStoredFds(LAST);
  let isKept = storeValue(STATE, { generation, state });
  for (const [name, fd] of Object.entries(fds)) {
    removeStoredFds(FD + name);
    isKept = storeFds(FD + name, [typeof fd === 'number' ? fd : fd.number]) && isKept;
  }
  return isKept;
}

/** Leaves what the process knew at last. */
export function leaveLastState(last: unknown): boolean {
  return storeValue(LAST, last);
}

function storeValue(name: string, value: unknown): boolean {
  removeStoredFds(name);
  using file = sealValue(linuxSealedFiles, name, value);
  return storeFds(name, [file.number]);
}

/** What a former process has left with the service manager. It stays there, so that the next one has it also if this one crashes. */
export class StoredInheritance implements Disposable {
  readonly #fds = new Map<string, Fd>();
  /** How many times the service was restarted. */
  readonly generation: number = 0;
  /** As JSON; undefined if there is none. */
  readonly state: unknown;
  /** What it knew at last. */
  readonly last: unknown;

  /**
   * Takes it out of the descriptors that were passed.
   * @param report gets what is wrong with it, which must not keep the service from starting
   */
  constructor(passed: PassedFds, report: (error: unknown) => void) {
    for (const name of passed.names.filter((name) => name.startsWith(FD))) {
      const fd = passed.take(name);
      this.#fds.get(name)?.close();
      if (fd !== undefined) this.#fds.set(name, fd);
    }
    const values = [STATE, LAST].map((name) => takeValue(passed, name, report));
    const [stored, last] = values;
    this.last = last;
    if (stored === undefined) return;
    try {
      checkObject(STATE, stored);
      const { generation, state } = stored as Record<string, unknown>;
      checkInteger('generation', generation, 1);
      this.generation = generation;
      this.state = state;
    } catch (error) {
      report(error);
    }
  }

  /** Takes one of the descriptors, which is the caller's from then on. */
  take(name: string): Fd | undefined {
    const fd = this.#fds.get(FD + name);
    this.#fds.delete(FD + name);
    return fd;
  }

  /** Closes those that nobody took. */
  [Symbol.dispose](): void {
    for (const fd of this.#fds.values()) fd.close();
    this.#fds.clear();
  }
}

function takeValue(passed: PassedFds, name: string, report: (error: unknown) => void): unknown {
  using fd = passed.take(name);
  if (fd === undefined) return undefined;
  try {
    return readSealedValue(linuxSealedFiles, name, fd);
  } catch (error) {
    report(new Error(`what was stored as ${name} is not used: ${messageOf(error)}`, { cause: error }));
    return undefined;
  }
}

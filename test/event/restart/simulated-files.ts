import { EPOLLIN } from '@sdrx/linux';
import { OpenFile } from './open-file.js';

/** What a pidfd is of. */
export class ProcessHandle extends OpenFile {
  /** The process has ended. */
  ended(): void {
    this.becomes(EPOLLIN);
  }
}

/** A file in memory that nobody can change. */
export class SealedFile extends OpenFile {
  constructor(readonly text: string) {
    super();
  }
}

/** A socket that clients connect to, with those that wait in its queue. */
export class Listener extends OpenFile {
  /** Whether nobody can connect any more. */
  isShut = false;

  constructor(readonly name: string) {
    super();
  }

  /** Whether somebody has it open. */
  get isOpen(): boolean {
    return this.references > 0;
  }
}

/** What lies at the path of a PID file, and beside it. */
export class PidFilePath {
  /** The number in the file that is there. */
  owner: number | undefined;
  /** Who has a file beside it, to be put there. */
  readonly drafts = new Set<number>();
}

/** The PID file of a process. */
export class DraftedPidFile {
  readonly #path: PidFilePath;
  readonly #pid: number;
  readonly #may: (call: 'claim' | 'replace') => boolean;
  readonly #runs: () => boolean;

  constructor(path: PidFilePath, pid: number, may: (call: 'claim' | 'replace') => boolean, runs: () => boolean) {
    this.#path = path;
    this.#pid = pid;
    this.#may = may;
    this.#runs = runs;
    if (runs()) path.drafts.add(pid);
  }

  claim(): void {
    if (this.#may('claim')) this.#put();
  }

  replace(): void {
    if (this.#may('replace')) this.#put();
  }

  leave(): void {
    if (this.#runs()) this.#path.drafts.delete(this.#pid);
  }

  [Symbol.dispose](): void {
    if (!this.#runs()) return;
    this.#path.drafts.delete(this.#pid);
    if (this.#path.owner === this.#pid) this.#path.owner = undefined;
  }

  #put(): void {
    if (!this.#runs()) return;
    this.#path.drafts.delete(this.#pid);
    this.#path.owner = this.#pid;
  }
}

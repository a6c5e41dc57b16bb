import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { namespaceInode } from '@sdrx/linux';
import type { Test } from 'tap';

/** A process in namespaces of its own, which lives until it is told to end, or the test does. */
export class Inhabitant {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /**
   * Starts one, and waits until it is in its namespaces.
   * @param unshare options of unshare(1), such as `--user`
   * @param script what it does there, as root of its namespaces, before it is ready
   */
  static async start(t: Test, unshare: string[], script = ':'): Promise<Inhabitant> {
    const child = spawn('unshare', [...unshare, 'sh', '-c', `${script} && echo ready && exec cat`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const inhabitant = new Inhabitant(child);
    t.teardown(() => inhabitant.end());
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error('unshare failed'))),
    ]);
    return inhabitant;
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error('not started');
    return this.#process.pid;
  }

  /** Opens one of its namespaces; close it. */
  open(kind = 'user'): number {
    return openSync(`/proc/${this.pid}/ns/${kind}`, 'r');
  }

  get inode(): number {
    const fd = this.open();
    try {
      return namespaceInode(fd);
    } finally {
      closeSync(fd);
    }
  }

  /** Ends it, and waits until its parent knows. */
  async end(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { type ChildProcess, spawn } from '@sdrx/linux';
import { until } from '../support/until.js';
import type { UserNamespace } from '../support/user-namespace.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { folderWithFile, type LentNamespace } from './enforced.js';

/** It says how often it tried, now and then and in the end. */
const PROGRAM = `import os, sys
folder = sys.argv[1]
tries = os.open(folder + '/tries', os.O_WRONLY)
count = 0
while not os.path.exists(folder + '/stop'):
  try:
    os.mkdir(folder + '/new')
    os._exit(1)
  except OSError:
    count += 1
    if count % 16 == 1: os.pwrite(tries, b'%d' % count, 0)
`;

/** A process of a namespace that tries to make a folder in a foreign one, as fast as it can, until it succeeds. */
export class Attempts implements Disposable {
  readonly #folder;
  readonly #child: ChildProcess;
  #ended = false;

  constructor(namespace: LentNamespace | UserNamespace) {
    this.#folder = folderWithFile();
    writeFileSync(this.#folder.join('tries'), '0');
    chmodSync(this.#folder.join('tries'), 0o666);
    const args = [`--target=${namespace.child.pid}`, '--user', 'python3', '-c', PROGRAM, this.#folder.path];
    this.#child = spawn('nsenter', { args, fds: [null, 2, 2] });
  }

  get tries(): number {
    return Number(readFileSync(this.#folder.join('tries'), 'ascii'));
  }

  /** Waits until it has tried some more. */
  async more(): Promise<void> {
    const before = this.tries;
    await until(() => this.tries > before + 32 || this.#hasEnded());
  }

  /** Ends it. @returns whether it ever succeeded, or failed for another reason than that it was refused */
  end(): boolean {
    writeFileSync(this.#folder.join('stop'), '');
    const { code, status } = waitForExit(this.#child);
    this.#ended = true;
    return code !== 'exited' || status !== 0;
  }

  #hasEnded(): boolean {
    return readFileSync(`/proc/${this.#child.pid}/stat`, 'ascii').includes(') Z ');
  }

  [Symbol.dispose](): void {
    if (!this.#ended) this.end();
    this.#folder[Symbol.dispose]();
  }
}

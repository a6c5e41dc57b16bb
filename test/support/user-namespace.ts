import { openSync } from 'node:fs';
import { type ChildProcess, Fd, read, setNonBlocking, socketPair, spawn } from '@sdrx/linux';
import { waitForExit } from './wait-for-exit.js';

/** A user namespace without maps of its own, that a child process holds alive until this object is disposed of. */
export class UserNamespace implements Disposable {
  readonly child: ChildProcess;
  readonly #input: Fd;

  /** @param extra options of unshare(1) for further namespaces beside the user namespace */
  constructor(...extra: readonly string[]) {
    const [ours, theirs] = socketPair();
    setNonBlocking(ours.number, false);
    setNonBlocking(theirs.number, false);
    this.#input = ours;
    try {
      // cat ends by itself when we do.
      const args = ['--user', ...extra, 'sh', '-c', 'echo && exec cat'];
      this.child = spawn('unshare', { args, fds: [theirs, theirs, 2] });
    } finally {
      theirs.close();
    }
    if (read(ours.number, Buffer.alloc(1)) !== 1) throw new Error('unshare(1) made no user namespace');
  }

  /** A descriptor of the namespace, which holds it alive, too. */
  open(kind = 'user'): Fd {
    return new Fd(openSync(`/proc/${this.child.pid}/ns/${kind}`, 'r'));
  }

  [Symbol.dispose](): void {
    if (this.#input.number === -1) return;
    this.#input.close();
    this.child.kill('SIGKILL');
    waitForExit(this.child);
  }
}

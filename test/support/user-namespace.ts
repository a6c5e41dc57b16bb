import { openSync } from 'node:fs';
import {
  type ChildProcess,
  Fd,
  isSystemError,
  namespaceId,
  namespaceInode,
  openUserNamespace,
  read,
  setNonBlocking,
  socketPair,
  spawn,
} from '@sdrx/linux';
import { until } from './until.js';
import { waitForExit } from './wait-for-exit.js';

/** A user namespace without maps of its own, that a child process holds alive until this object is disposed of. */
export class UserNamespace implements Disposable {
  readonly child: ChildProcess;
  readonly #input: Fd;

  /**
   * @param owner the user who makes it, which only root can choose; by default us. Or a program with arguments to run it
   * @param extra more options of unshare(1)
   */
  constructor(owner: number | readonly string[] = [], ...extra: readonly string[]) {
    const [ours, theirs] = socketPair();
    setNonBlocking(ours.number, false);
    setNonBlocking(theirs.number, false);
    this.#input = ours;
    try {
      // cat ends by itself when we do.
      const as =
        typeof owner === 'number' ? ['setpriv', `--reuid=${owner}`, `--regid=${owner}`, '--clear-groups'] : owner;
      const [file = '', ...args] = [...as, 'unshare', '--user', ...extra, 'sh', '-c', 'echo && exec cat'];
      this.child = spawn(file, { args, fds: [theirs, theirs, 2] });
    } finally {
      theirs.close();
    }
    if (read(ours.number, Buffer.alloc(1)) !== 1) throw new Error('unshare(1) made no user namespace');
  }

  /** A descriptor of the namespace, which holds it alive, too. */
  open(kind = 'user'): Fd {
    return new Fd(openSync(`/proc/${this.child.pid}/ns/${kind}`, 'r'));
  }

  /** Ends the process, and waits until the namespace is dead, which it is once nobody else has it open. */
  async end(): Promise<void> {
    if (this.#input.number === -1) return;
    const [id, inode] = this.#identity();
    this[Symbol.dispose]();
    if (id !== undefined) await until(() => !isAlive(id, inode));
  }

  [Symbol.dispose](): void {
    if (this.#input.number === -1) return;
    this.#input.close();
    this.child.kill('SIGKILL');
    waitForExit(this.child);
  }

  #identity(): [bigint | undefined, number] {
    using fd = this.open();
    return [namespaceId(fd.number), namespaceInode(fd.number)];
  }
}

function isAlive(id: bigint, inode: number): boolean {
  try {
    openUserNamespace(id, inode).close();
    return true;
  } catch (error) {
    if (isSystemError(error, 'ESTALE')) return false;
    throw error;
  }
}

import { openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
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
  write,
} from '@sdrx/linux';
import { processFds } from './process-fds.js';
import { untilOr } from './until.js';
import { waitForExit } from './wait-for-exit.js';

/** How long a namespace may outlive its last user, in milliseconds. */
const LIMIT = 60_000;

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
      // cat answers as soon as it runs, and ends by itself when we do.
      const as =
        typeof owner === 'number' ? ['setpriv', `--reuid=${owner}`, `--regid=${owner}`, '--clear-groups'] : owner;
      const [file = '', ...args] = [...as, 'unshare', '--user', ...extra, 'cat'];
      this.child = spawn(file, { args, fds: [theirs, theirs, 2] });
    } finally {
      theirs.close();
    }
    write(ours.number, Buffer.from('\n'));
    if (read(ours.number, Buffer.alloc(1)) !== 1) throw new Error('unshare(1) made no user namespace');
  }

  /** A descriptor of the namespace, which holds it alive, too. */
  open(kind = 'user'): Fd {
    return new Fd(openSync(`/proc/${this.child.pid}/ns/${kind}`, 'r'));
  }

  /** Ends the process, and waits until the namespace is dead, which it is once nobody else has it open. */
  async end(): Promise<void> {
    if (this.#input.number === -1) return;
    await untilDead(this.child.pid, () => this[Symbol.dispose]());
  }

  [Symbol.dispose](): void {
    if (this.#input.number === -1) return;
    this.#input.close();
    this.child.kill('SIGKILL');
    waitForExit(this.child);
  }
}

/**
 * Runs `end`, which is to end all that holds the user namespace of a process alive, and waits until it is dead: the kernel
 * frees it a moment later. Where namespaces have no id, and nobody could tell, it does not wait.
 */
export async function untilDead(pid: number, end: () => void | Promise<void>): Promise<void> {
  const [id, inode] = identity(pid);
  await end();
  if (id === undefined) return;
  await untilOr(
    LIMIT,
    () => !isAlive(id, inode),
    () => `user namespace ${inode} lives on, held by ${holders(inode)}`,
  );
}

function identity(pid: number): [bigint | undefined, number] {
  using fd = new Fd(openSync(`/proc/${pid}/ns/user`, 'r'));
  return [namespaceId(fd.number), namespaceInode(fd.number)];
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

/** The processes that are seen to have a user namespace, or to be in it, with their programs. */
function holders(inode: number): string {
  const wanted = `user:[${inode}]`;
  const pids = readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return (
        readlinkSync(`/proc/${name}/ns/user`) === wanted || [...processFds(Number(name)).values()].includes(wanted)
      );
    } catch {
      return false; // It ended meanwhile.
    }
  });
  return pids.map((pid) => `${pid} (${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')})`).join(', ');
}

/** What `new UserNamespace` takes to make one within another, whose user `uid` of those in there it then belongs to. */
export function below({ child }: Pick<UserNamespace, 'child'>, uid?: number): readonly string[] {
  const user = uid === undefined ? ['--preserve-credentials'] : ['--setuid', String(uid), '--setgid', String(uid)];
  return ['nsenter', `--user=/proc/${child.pid}/ns/user`, ...user];
}

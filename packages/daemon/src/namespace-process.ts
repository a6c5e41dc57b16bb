import { fchmodSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import {
  Fd,
  type IdMapEntry,
  type IdMapKind,
  isSystemError,
  memoryFile,
  O_PATH,
  read,
  readIdMap,
  setNonBlocking,
  socketPair,
  spawn,
  write,
} from '@sdrx/linux';
import { finalize, map, Observable, take } from 'rxjs';

const CAT = '/bin/cat';

/**
 * A process inside of a user namespace, through whose files in /proc the namespace's maps are read and written.
 *
 * We can't be that process ourselves: setns(2) refuses to move a process with threads, as Node is one, and who has
 * joined a namespace has no rights left outside of it.
 */
export interface NamespaceProcess {
  readMap(kind: IdMapKind): IdMapEntry[];
  /** Writes a map, once. user_namespaces(7). Throws EPERM if it has been written before. */
  writeMap(kind: IdMapKind, entry: IdMapEntry): void;
}

/**
 * Starts a process in a user namespace and emits it as soon as it is inside; to unsubscribe ends it.
 * Fails with an error if it ends before it got there.
 */
export function enterUserNamespace(loop: EventLoop, namespace: number): Observable<NamespaceProcess> {
  return new Observable((subscriber) => {
    const [ours, theirs] = socketPair();
    subscriber.add(() => ours.close());
    using inherited = theirs;
    // A program such as cat(1) takes "nothing yet" for an error.
    setNonBlocking(inherited.number, false);
    write(ours.number, Buffer.from('\n'));
    // What it echoes shows that nsenter(1) has joined; with our socket it ends, too, should we be killed.
    const child = spawn('nsenter', {
      args: ['--user=/proc/self/fd/3', '--preserve-credentials', '/proc/self/fd/4'],
      fds: [inherited, inherited, null, namespace, untraceableCat()],
    });
    const { pid } = child;
    // Killed, since the namespace's owner may have stopped it. Reaped only now, so that its id was nobody else's before.
    subscriber.add(() => {
      child.kill('SIGKILL');
      loop
        .child(child)
        .pipe(finalize(() => child[Symbol.dispose]()))
        .subscribe();
    });
    subscriber.add(
      loop
        .io(ours.number)
        .pipe(
          take(1),
          map((): NamespaceProcess => {
            if (!hasEchoed(ours.number)) throw new Error('no process could enter the user namespace');
            return {
              readMap: (kind) => readIdMap(kind, pid),
              writeMap: (kind, { inside, outside, count }) =>
                writeFileSync(`/proc/${pid}/${kind}`, `${inside} ${outside} ${count}\n`),
            };
          }),
        )
        .subscribe({ next: (inside) => subscriber.next(inside), error: (error) => subscriber.error(error) }),
    );
  });
}

function hasEchoed(socket: number): boolean {
  try {
    return read(socket, Buffer.alloc(1)) === 1;
  } catch (error) {
    // It ended with what we wrote unread.
    if (isSystemError(error, 'ECONNRESET')) return false;
    throw error;
  }
}

let cat: Fd | undefined;

/**
 * A copy of cat(1) that may be executed but not read.
 *
 * Outside it still is root, but inside the namespace's owner has every right over it: with ptrace(2) that user could make
 * it do what root may do with files. The kernel protects a process whose program its user may not read. execve(2)
 */
function untraceableCat(): Fd {
  if (cat === undefined) {
    using file = memoryFile('cat');
    writeFileSync(file.number, readFileSync(CAT));
    fchmodSync(file.number, 0o111);
    // Not the descriptor that wrote it: a file that is open for writing can't be executed.
    cat = new Fd(openSync(`/proc/self/fd/${file.number}`, O_PATH));
  }
  return cat;
}

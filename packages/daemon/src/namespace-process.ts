import { writeFileSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import {
  type IdMapEntry,
  type IdMapKind,
  read,
  readIdMap,
  setNonBlocking,
  socketPair,
  spawn,
  write,
} from '@sdrx/linux';
import { map, Observable, take } from 'rxjs';

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
    setNonBlocking(inherited.number, false);
    // cat(1) is as good as any: what it echoes shows that nsenter(1) has joined, and with our socket it ends, too.
    using child = spawn('nsenter', {
      args: ['--user=/proc/self/fd/3', '--preserve-credentials', 'cat'],
      fds: [inherited, inherited, null, namespace],
    });
    const { pid } = child;
    write(ours.number, Buffer.from('\n'));
    subscriber.add(
      loop
        .io(ours.number)
        .pipe(
          take(1),
          map((): NamespaceProcess => {
            if (!read(ours.number, Buffer.alloc(1))) throw new Error('no process could enter the user namespace');
            return {
              readMap: (kind) => readIdMap(kind, pid),
              writeMap: (kind, { inside, outside, count }) =>
                writeFileSync(`/proc/${pid}/${kind}`, `${inside} ${outside} ${count}\n`),
            };
          }),
        )
        .subscribe({ next: (inside) => subscriber.next(inside), error: (error) => subscriber.error(error) }),
    );
    // Reaps it, whenever it ends: it outlives the subscription by as long as that takes.
    loop.child(pid).subscribe();
  });
}

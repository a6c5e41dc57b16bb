import { EPOLLPRI, openFile } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceOptions } from '../core/source.js';
import type { EventLoop } from '../loop.js';

/** Comes when something was mounted or unmounted where this process is. Fails with EMFILE, ENFILE, ENOENT. proc_pid_mountinfo(5) */
export function mountChanges(loop: EventLoop, options: SourceOptions): Observable<void> {
  return loop.source<void>(
    'mounts',
    (source, kernel) => {
      const table = source.use(openFile('/proc/self/mountinfo'));
      source.use(kernel.watch(table.number, EPOLLPRI, () => source.pend()));
      return {};
    },
    options,
  );
}

import { bind, type Fd, listen, setNonBlocking, unixSocket } from '@sdrx/linux';
import type { Test } from 'tap';
import { Folder } from './folder.js';

/** A socket that a service manager listens on for its service, blocking, as those of a socket unit are. */
export interface PassedSocket {
  readonly path: string;
  readonly fd: Fd;
}

/** Makes one, which the end of the test closes and removes. */
export function passedSocket(t: Test): PassedSocket {
  const folder = new Folder();
  const fd = unixSocket();
  t.teardown(() => {
    fd.close();
    folder[Symbol.dispose]();
  });
  const path = folder.join('socket');
  bind(fd.number, path);
  listen(fd.number);
  setNonBlocking(fd.number, false);
  return { path, fd };
}

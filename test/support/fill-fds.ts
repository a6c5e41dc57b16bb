import { duplicate, type Fd, isSystemError } from '@sdrx/linux';

/** Opens descriptors until only `room` more fit into this process, whose limit should be a low one. */
export function fillFds(room: number): Fd[] {
  const fds: Fd[] = [];
  try {
    for (;;) fds.push(duplicate(0));
  } catch (error) {
    if (!isSystemError(error, 'EMFILE')) throw error;
  }
  for (const fd of fds.splice(fds.length - room, room)) fd.close();
  return fds;
}

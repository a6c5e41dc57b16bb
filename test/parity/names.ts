import * as linux from '@sdrx/linux';

/** Numbers by the names that scenarios give them. */
export type Names = Readonly<Record<string, number>>;

export const epollNames: Names = {
  in: linux.EPOLLIN,
  pri: linux.EPOLLPRI,
  out: linux.EPOLLOUT,
  err: linux.EPOLLERR,
  hup: linux.EPOLLHUP,
  rdhup: linux.EPOLLRDHUP,
  et: linux.EPOLLET,
  oneshot: linux.EPOLLONESHOT,
  none: 0,
};

export const inotifyNames: Names = {
  access: linux.IN_ACCESS,
  modify: linux.IN_MODIFY,
  attrib: linux.IN_ATTRIB,
  'close-write': linux.IN_CLOSE_WRITE,
  'close-nowrite': linux.IN_CLOSE_NOWRITE,
  open: linux.IN_OPEN,
  'moved-from': linux.IN_MOVED_FROM,
  'moved-to': linux.IN_MOVED_TO,
  create: linux.IN_CREATE,
  delete: linux.IN_DELETE,
  'delete-self': linux.IN_DELETE_SELF,
  'move-self': linux.IN_MOVE_SELF,
  unmount: linux.IN_UNMOUNT,
  overflow: linux.IN_Q_OVERFLOW,
  ignored: linux.IN_IGNORED,
  isdir: linux.IN_ISDIR,
  oneshot: linux.IN_ONESHOT,
  'excl-unlink': linux.IN_EXCL_UNLINK,
  onlydir: linux.IN_ONLYDIR,
};

export const childNames: Names = {
  exited: linux.WEXITED,
  stopped: linux.WSTOPPED,
  continued: linux.WCONTINUED,
};

/** The union of names with commas between them. */
export function maskOf(names: Names, list: string): number {
  return list.split(',').reduce((mask, name) => (mask | numberOf(names, name)) >>> 0, 0);
}

export function namesOf(names: Names, mask: number): string {
  return Object.keys(names)
    .filter((name) => (mask & numberOf(names, name)) !== 0)
    .join(',');
}

function numberOf(names: Names, name: string): number {
  const number = names[name];
  if (number === undefined) throw new Error(`no number has the name ${name}`);
  return number;
}

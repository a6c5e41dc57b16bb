import type { HandedSocket, HandOverPlan, Predecessor } from '@sdrx/event';
import type { Fd } from '@sdrx/linux';
import { controlPath } from '../program/runtime-directory.js';
import { ListeningSocket } from './listening-socket.js';
import { ManagerLock } from './manager-lock.js';
import { NamedSocket, PassedSocket, type ServedSocket } from './named-socket.js';

/** What one manager hands to the next, by the names that all releases have for it. */
const SOCKET = 'varlink';
const CONTROL = 'control';
const LOCK = 'manager';
const READER = 'deaths';

export interface Inheritance {
  readonly lock: ManagerLock;
  /** The socket that clients connect to. */
  readonly socket: ServedSocket;
  readonly control: ServedSocket;
  /** What lets a manager be told of deaths. */
  readonly reader: Fd | undefined;
}

/** What to hand on. */
export function handedOn({ lock, socket, control, reader }: Inheritance): Pick<HandOverPlan, 'sockets' | 'fds'> {
  return {
    sockets: [socket.handed(SOCKET), control.handed(CONTROL)],
    fds: { [LOCK]: lock.fd, ...(reader !== undefined && { [READER]: reader }) },
  };
}

/** The lock of a manager that gives way. */
export function inheritLock(former: Predecessor): ManagerLock {
  const fd = former.take(LOCK);
  if (fd === undefined) throw new TypeError(`the former manager hands on no '${LOCK}'`);
  return ManagerLock.inherit(fd);
}

/** What it is told of deaths by; undefined where it is not. */
export function inheritReader(former: Predecessor): Fd | undefined {
  return former.take(READER);
}

/** The socket that its clients connect to. @param path where that is, unless it was passed */
export function inheritSocket(former: Predecessor, runtimeDirectory: string, path: string): ServedSocket {
  const handed = takeSocket(former, SOCKET);
  return handed.passed ? new PassedSocket(handed.fd) : ListeningSocket.inherit(runtimeDirectory, path, handed);
}

export function inheritControl(former: Predecessor, runtimeDirectory: string): NamedSocket {
  return NamedSocket.inherit(controlPath(runtimeDirectory), takeSocket(former, CONTROL));
}

function takeSocket({ sockets }: Predecessor, name: string): HandedSocket {
  const index = sockets.findIndex((socket) => socket.name === name);
  const [socket] = index === -1 ? [] : sockets.splice(index, 1);
  if (socket === undefined) throw new TypeError(`the former manager hands on no socket '${name}'`);
  return socket;
}

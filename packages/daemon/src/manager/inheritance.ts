import type { InstalledUsernsRestrict } from '@sdrx/bpf';
import type { HandedSocket, HandOverPlan, Predecessor } from '@sdrx/event';
import type { Fd } from '@sdrx/linux';
import type { Ledger } from '../limits/ledger.js';
import type { Log } from '../program/log.js';
import { controlPath } from '../program/runtime-directory.js';
import { ListeningSocket } from './listening-socket.js';
import { ManagerLock } from './manager-lock.js';
import { managerState } from './manager-state.js';
import { NamedSocket, PassedSocket, type ServedSocket } from './named-socket.js';

/** What one manager hands to the next, by the names that all releases have for it. */
const SOCKET = 'varlink';
const CONTROL = 'control';
const LOCK = 'manager';
const READER = 'deaths';
const REPORT = 'metrics';

export interface Inheritance {
  readonly lock: ManagerLock;
  /** The socket that clients connect to. */
  readonly socket: ServedSocket;
  readonly control: ServedSocket;
  /** The socket that was passed for metrics. */
  readonly reportSocket: Fd | undefined;
  /** What has the `reader` that lets a manager be told of deaths. */
  readonly enforced: Pick<InstalledUsernsRestrict, 'reader'> | undefined;
  /** The manager that has handed all of this to this process, if one has. */
  readonly former: Pick<Predecessor, 'generation'> | undefined;
  /** Whether the user namespace interfaces are on. */
  readonly api: boolean;
  readonly ledger: Ledger | undefined;
  readonly log: Log;
}

/** What to hand on: sockets and descriptors, and what this process knows. */
export function inheritancePlan(
  inheritance: Inheritance,
): Required<Pick<HandOverPlan, 'sockets' | 'fds' | 'generation' | 'state'>> {
  const { lock, socket, control, reportSocket, enforced, former, api, ledger, log } = inheritance;
  return {
    sockets: [socket.handed(SOCKET), control.handed(CONTROL)],
    fds: {
      [LOCK]: lock.fd,
      ...(enforced !== undefined && { [READER]: enforced.reader }),
      ...(reportSocket !== undefined && { [REPORT]: reportSocket }),
    },
    generation: former?.generation ?? 0,
    state: () => managerState(api, ledger, log),
  };
}

/** The lock of a manager that gives way. */
export function inheritLock(former: Predecessor, runtimeDirectory: string): ManagerLock {
  const fd = former.take(LOCK);
  if (fd === undefined) throw new TypeError(`the former manager hands on no '${LOCK}'`);
  return ManagerLock.inherit(runtimeDirectory, fd);
}

/** What it is told of deaths by; undefined where it is not. */
export function inheritReader(former: Predecessor): Fd | undefined {
  return former.take(READER);
}

/** The socket that it was passed for metrics; undefined where there is none. */
export function inheritReportSocket(former: Predecessor): Fd | undefined {
  return former.take(REPORT);
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

import type { UsernsRestrict } from '@sdrx/bpf';
import { notify, type Predecessor } from '@sdrx/event';
import type { Restriction } from '../namespace/restriction.js';
import { writeLine } from '../program/log.js';
import { logText } from '../program/log-text.js';
import { ListeningSocket } from './listening-socket.js';
import type { ServedSocket } from './named-socket.js';

/** What a daemon that serves says of itself. */
export interface ServiceStatus {
  /** Where it serves, with a warning if nothing restricts the namespaces. */
  readonly place: string;
  /** The STATUS= of sd_notify(3). */
  readonly status: string;
}

export function serviceStatus(
  socket: ServedSocket,
  restriction: Restriction,
  restrict?: UsernsRestrict,
): ServiceStatus {
  const where = socket instanceof ListeningSocket ? `at ${socket.path}` : 'on the passed socket';
  const warning = restriction === 'off' ? ', WITHOUT userns-restrict: namespaces may own files on any mount' : '';
  const place = `${where}${warning}`;
  const told = restrict?.hook === undefined ? '' : `, told of dead namespaces by ${restrict.hook}`;
  return { place, status: `Serving ${place}${told}` };
}

/** Tells the service manager and whoever reads the standard error that connections are accepted. */
export function announce({ place, status }: ServiceStatus, former: Predecessor | undefined): void {
  // Where this process takes over, the former one has told already that it is ready.
  notify({ ...(former === undefined && { READY: 1 }), STATUS: status });
  writeLine(logText(`nsresourced ready ${place}`));
}

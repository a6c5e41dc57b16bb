import type { EventLoop, SourceOptions } from '@sdrx/event';
import { EPOLLIN } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { readLinkMessages } from './link-messages.js';
import { type LinkSocket, RouteSocket } from './link-socket.js';
import { type LinkEvent, LinkTable } from './link-table.js';

export interface LinksOptions extends SourceOptions {
  /** Opens the socket, at each subscription. By default that of the network namespace that we are in then. */
  readonly open?: () => LinkSocket;
}

/**
 * The network interfaces: first those that are there, then whatever changes. rtnetlink(7).
 * Fails with EMFILE, and EBADMSG for a message that is malformed.
 */
export function links(
  loop: EventLoop,
  { open = () => new RouteSocket(), ...options }: LinksOptions = {},
): Observable<LinkEvent> {
  return loop.source<LinkEvent>(
    'links',
    (source, kernel) => {
      const socket = source.use(open());
      const table = new LinkTable(
        () => socket.ask(),
        (event) => source.pendAlso(event),
      );
      const ready = (): void => {
        const received = socket.receive();
        if (received === 'lost') table.lose();
        else if (received !== undefined) for (const message of readLinkMessages(received)) table.take(message);
        wait();
      };
      const watch = source.use(kernel.watch(socket.number, EPOLLIN, ready));
      // What nobody has time for waits in the socket, where the kernel limits it.
      const wait = (): void => watch.pause(source.pending);
      table.refresh();
      return { dispatched: wait };
    },
    options,
  );
}

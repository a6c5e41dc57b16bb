import type { EventLoop } from '@sdrx/event';
import { Observable } from 'rxjs';
import { serveLimits } from './limits.js';
import { requireServeArguments } from './serve-arguments.js';
import type { ServeOptions } from './serve-options.js';
import { Server } from './server.js';
import type { ServerEvent } from './server-event.js';
import type { Service } from './service.js';

/**
 * Serves Varlink on a listening stream socket of the family AF_UNIX while subscribed; to unsubscribe closes all connections.
 * varlink.org/Method-Call
 *
 * For the loop all connections together are one source, with the priority given in `options`. Calls of one connection are
 * answered in the order they came; connections are independent of each other. A message that is no Varlink call ends its
 * connection, without an answer; one that meets a limit ends it with an error that says which.
 *
 * Descriptors that clients send are closed where it does not matter if that takes for ever.
 *
 * Fails with EINVAL if `listenFd` does not listen, ENOTSOCK, EBADF, RangeError for a limit that is no positive number.
 * @param listenFd stays the caller's; it is made non-blocking
 * @throws TypeError or RangeError for a wrong argument, by its name
 */
export function serve(
  loop: EventLoop,
  service: Service,
  listenFd: number,
  options: ServeOptions = {},
): Observable<ServerEvent> {
  requireServeArguments(loop, service, listenFd, options);
  return new Observable((subscriber) => {
    const server = new Server(loop, service, listenFd, options, serveLimits(options.limits), subscriber);
    subscriber.add(() => server[Symbol.dispose]());
    server.start();
    server.resume();
    subscriber.add(options.drain?.subscribe(() => server.drain()));
  });
}

import { checkFunction } from '@sdrx/linux';
import { messageOf } from './message-of.js';
import { oneLine } from './one-line.js';
import { reportError } from './report.js';
import type { Service } from './service.js';
import { ServiceLife } from './service-life.js';
import { checkServiceOptions, type ServiceOptions } from './service-options.js';
import { linuxService } from './service-system.js';
import type { SocketDeclarations } from './socket-declaration.js';
import { tell } from './tell.js';

/**
 * Runs a service from its start to its end: opens its sockets, calls `start`, tells the service manager that it is ready, gives
 * signs of life, and ends it in order on SIGTERM or SIGINT: what it has begun is finished, up to a deadline. A second signal ends
 * it at once. If it may restart, SIGHUP replaces it by a new process of the same program without losing a connection; if it may
 * be idle, it ends when there was nothing to do.
 * @param start makes the service up; when it has returned, or its promise is resolved, the service is ready
 * @returns the exit status: `process.exitCode = await runService(…)`. 0; 1 when the start has failed, or a step of the end All
 * else is reported and answered by the status.
 * @throws TypeError and RangeError for options that are none
 * @example
 * process.exitCode = await runService({ sockets: { http: 'tcp:127.0.0.1:8080' } }, ({ sockets, serve }) => {
 *   const server = createServer((_, response) => response.end('hello'));
 *   serve(new ServedConnections(server).listen(sockets.http.fd));
 * });
 */
export async function runService<const D extends SocketDeclarations = Record<never, string>>(
  options: ServiceOptions<D>,
  start: (service: Service<D>) => unknown,
): Promise<number> {
  checkServiceOptions(options);
  checkFunction('start', start);
  const { report = reportError, system = linuxService } = options;
  let life: ServiceLife<D>;
  try {
    life = new ServiceLife(options, system, report);
  } catch (error) {
    report(error);
    tell(system, { STATUS: oneLine(messageOf(error)) });
    return 1;
  }
  const status = await life.run(start);
  system.exitIfNeeded(status);
  return status;
}

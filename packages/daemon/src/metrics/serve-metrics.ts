import type { createServer as CreateServer, IncomingMessage, ServerResponse } from 'node:http';
import { type ListeningSocket, listenInet, listenUnix, ServedConnections } from '@sdrx/event';
import { Observable } from 'rxjs';
import type { MetricsOptions } from './metrics-options.js';
import { PROMETHEUS_TYPE, prometheusText } from './prometheus-text.js';
import { type MetricSources, readMetrics } from './read-metrics.js';

/** How many connections there may be at a time, how long a request may take to come, and how long one is kept; milliseconds. */
const MOST_CONNECTIONS = 64;
const REQUEST_TIMEOUT = 10_000;
const KEEP_ALIVE_TIMEOUT = 90_000;

/**
 * Serves the metrics at /metrics while subscribed. Fails with what the socket can't be had for: EADDRINUSE, EACCES, ENOENT.
 * @param createServer of node:http, which is loaded only for this
 */
export function serveMetrics(
  createServer: typeof CreateServer,
  { address, mode }: MetricsOptions,
  sources: MetricSources,
): Observable<never> {
  return new Observable((subscriber) => {
    const socket: ListeningSocket =
      address.kind === 'unix' ? listenUnix(address.path, { mode }) : listenInet(address.host, address.port);
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT, keepAliveTimeout: KEEP_ALIVE_TIMEOUT },
      (request, response) => answer(request, response, sources),
    );
    server.on('error', (error) => subscriber.error(error));
    const served = new ServedConnections(server).listen(socket.fd, { atMost: MOST_CONNECTIONS });
    served.resume();
    return () => {
      void served.drain({ signal: AbortSignal.abort() });
      socket[Symbol.dispose]();
    };
  });
}

function answer({ method, url }: IncomingMessage, response: ServerResponse, sources: MetricSources): void {
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end();
  } else if (url?.split('?', 1)[0] !== '/metrics') {
    response.writeHead(404, { 'Content-Type': 'text/plain' }).end('see /metrics\n');
  } else {
    const text = prometheusText(readMetrics(sources));
    response.writeHead(200, { 'Content-Type': PROMETHEUS_TYPE }).end(text);
  }
}

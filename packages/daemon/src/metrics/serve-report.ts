import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type EventLoop, listenUnix } from '@sdrx/event';
import { type ServeLimits, serve, service } from '@sdrx/varlink';
import { ignoreElements, Observable, tap } from 'rxjs';
import { ABOUT_SERVICE } from '../program/about-service.js';
import type { Log } from '../program/log.js';
import type { MetricSources } from './read-metrics.js';
import { reportMetrics } from './report-metrics.js';

/** Calls have no parameters. */
const LIMITS: Partial<ServeLimits> = {
  connections: 64,
  connectionsPerUser: 16,
  messageSize: 1024,
  messageDepth: 4,
  messageFds: 0,
  callsPerUser: 1,
  callsPerSecond: 100,
};

export interface ReportParts extends MetricSources {
  readonly loop: EventLoop;
  readonly log: Log;
}

/** Serves the metrics as `io.systemd.Metrics` while subscribed. @param listenFd stays the caller's */
export function serveReport(listenFd: number, parts: ReportParts): Observable<never> {
  const { loop, log } = parts;
  return serve(loop, service(ABOUT_SERVICE, reportMetrics(parts)), listenFd, { limits: LIMITS }).pipe(
    tap((event) => {
      if (event.type === 'failed') log.warning('metrics could not be told', event.error);
    }),
    ignoreElements(),
  );
}

/** The same on a socket of its own. Fails with what that can't be had for: EADDRINUSE, EACCES, EROFS. */
export function serveReportAt(path: string, mode: number, parts: ReportParts): Observable<never> {
  return new Observable((subscriber) => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const socket = listenUnix(path, { mode });
    subscriber.add(() => socket[Symbol.dispose]());
    subscriber.add(serveReport(socket.fd.number, parts).subscribe(subscriber));
  });
}

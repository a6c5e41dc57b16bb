import type { EventLoop } from '@sdrx/event';
import { type Fd, isSystemError } from '@sdrx/linux';
import { defer, EMPTY, from, type MonoTypeOperatorFunction, merge, mergeMap, type Observable, retry } from 'rxjs';
import type { Log } from '../program/log.js';
import type { MetricsOptions, ReportOptions } from './metrics-options.js';
import type { MetricSources } from './read-metrics.js';
import { serveMetrics } from './serve-metrics.js';
import { serveReport, serveReportAt } from './serve-report.js';

/** When it is tried again to have the socket, in milliseconds: at first, when a former manager may have it still, and later. */
const SOON = 20;
const LATER = 10_000;

/** How often it is tried soon. */
const SOON_TRIES = 250;

export interface MetricsParts extends MetricSources {
  readonly loop: EventLoop;
  readonly metrics: MetricsOptions | undefined;
  /** Where they are served by Varlink, unless a socket for that was passed. */
  readonly report: ReportOptions | undefined;
  /** The socket that was passed for that. */
  readonly reportSocket: Fd | undefined;
  readonly log: Log;
}

/** Serves metrics wherever that is wanted. */
export function metricsWork(parts: MetricsParts): Observable<never> {
  return merge(prometheusWork(parts), reportWork(parts));
}

/** Node's HTTP is loaded only then. */
function prometheusWork(parts: MetricsParts): Observable<never> {
  const { metrics } = parts;
  if (metrics === undefined) return EMPTY;
  return defer(() => from(import('node:http'))).pipe(
    mergeMap(({ createServer }) => serveMetrics(createServer, metrics, parts)),
    whenPossible(parts),
  );
}

function reportWork(parts: MetricsParts): Observable<never> {
  const { report, reportSocket } = parts;
  if (reportSocket !== undefined) return serveReport(reportSocket.number, parts);
  return report === undefined ? EMPTY : serveReportAt(report.path, report.mode, parts).pipe(whenPossible(parts));
}

/** Tries again where the socket can't be had. */
function whenPossible({ loop, log }: MetricsParts): MonoTypeOperatorFunction<never> {
  return retry({
    delay: (error, count) => {
      if (!isSystemError(error)) throw error;
      const isSoon = isSystemError(error, 'EADDRINUSE') && count < SOON_TRIES;
      if (!isSoon) log.warning('metrics are not served', error);
      return loop.time({ after: isSoon ? SOON : LATER, description: 'metrics again' });
    },
  });
}

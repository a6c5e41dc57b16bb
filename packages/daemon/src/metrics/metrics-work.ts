import type { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { defer, EMPTY, from, mergeMap, type Observable, retry } from 'rxjs';
import type { Log } from '../program/log.js';
import type { MetricsOptions } from './metrics-options.js';
import type { MetricSources } from './read-metrics.js';
import { serveMetrics } from './serve-metrics.js';

/** When it is tried again to have the socket, in milliseconds: at first, when a former manager may have it still, and later. */
const SOON = 100;
const LATER = 10_000;

/** How often it is tried soon. */
const SOON_TRIES = 50;

export interface MetricsParts extends MetricSources {
  readonly loop: EventLoop;
  readonly metrics: MetricsOptions | undefined;
  readonly log: Log;
}

/** Serves metrics, if that is wanted. Node's HTTP is loaded only then. */
export function metricsWork(parts: MetricsParts): Observable<never> {
  const { loop, metrics, log } = parts;
  if (metrics === undefined) return EMPTY;
  return defer(() => from(import('node:http'))).pipe(
    mergeMap(({ createServer }) => serveMetrics(createServer, metrics, parts)),
    retry({
      delay: (error, count) => {
        if (!isSystemError(error)) throw error;
        const isSoon = isSystemError(error, 'EADDRINUSE') && count < SOON_TRIES;
        if (!isSoon) log.warning('metrics are not served', error);
        return loop.time({ after: isSoon ? SOON : LATER, description: 'metrics again' });
      },
    }),
  );
}

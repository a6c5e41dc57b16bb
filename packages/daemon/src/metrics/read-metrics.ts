import { readdirSync } from 'node:fs';
import type { UsernsRestrict } from '@sdrx/bpf';
import type { Ledger } from '../limits/ledger.js';
import { CONDITIONS } from '../limits/ledger-format.js';
import type { Releases } from '../namespace/releases.js';
import type { Restriction } from '../namespace/restriction.js';
import type { WorkerPool } from '../pool/worker-pool.js';
import { VERSION } from '../program/version.js';
import type { Registry } from '../registry/registry.js';
import {
  BOUNDS,
  bucketWord,
  FAILURES_WORD,
  METHODS,
  OUTCOMES,
  outcomeWord,
  REFUSALS,
  refusalWord,
  sumWord,
} from './call-counts.js';
import type { CallLedger } from './call-ledger.js';
import { METRIC_FAMILIES, type MetricFamily } from './metric-families.js';
import type { Sample } from './prometheus-text.js';

/** What metrics are read from. */
export interface MetricSources {
  readonly api: boolean;
  readonly restriction: Restriction;
  readonly restrict: UsernsRestrict | undefined;
  readonly registry: Registry;
  readonly releases: Releases;
  readonly pool: WorkerPool;
  /** Undefined for workers of another program, of which nothing more is known than that they are there. */
  readonly ledger: Ledger | undefined;
  readonly calls: CallLedger | undefined;
}

type Readings = Readonly<Record<keyof typeof METRIC_FAMILIES, readonly Sample[]>>;

/** Reads all metrics as they are now. */
export function readMetrics(sources: MetricSources): [MetricFamily, readonly Sample[]][] {
  const readings: Readings = { ...ofDaemon(sources), ...ofWorkers(sources), ...ofCalls(sources), ...ofProcess() };
  return Object.entries(METRIC_FAMILIES).map(([key, family]) => [family, readings[key as keyof Readings]]);
}

function ofDaemon({ api, restriction, restrict, registry, releases }: MetricSources) {
  return {
    build: [{ labels: [VERSION], value: 1 }],
    api: single(Number(api)),
    restricted: single(Number(restriction === 'require' && restrict !== undefined)),
    namespaces: single(registry.inodes().length),
    released: single(releases.counts.released),
    releaseFailures: single(releases.counts.failed),
    releasesWaiting: single(releases.waiting),
  };
}

function ofWorkers({ pool, ledger }: MetricSources) {
  return {
    workers: workerStates(pool, ledger),
    workersStarted: single(pool.counts.started),
    workersFailed: single(pool.counts.failed),
    connections: single(ledger?.total('connections')),
    accepted: single(ledger && pool.accepted),
    users: single(ledger?.byUser('connections').size),
    barred: single(ledger?.barred().length),
    helpers: single(ledger?.total('helpers')),
    callsNow: single(ledger?.total('calls')),
  };
}

/** Those of another program are `unknown`, as are those that have no slot yet. */
function workerStates(pool: WorkerPool, ledger: Ledger | undefined): Sample[] {
  const known = CONDITIONS.map((condition) => [condition, ledger?.conditions[condition] ?? 0] as const);
  const unknown = pool.size - known.reduce((sum, [, count]) => sum + count, 0);
  return [...known, ['unknown', Math.max(unknown, 0)] as const].map(([state, value]) => ({ labels: [state], value }));
}

function ofCalls({ calls }: MetricSources) {
  if (calls === undefined) return { calls: [], callDuration: [], callFailures: [], refusals: [] };
  const totals = calls.totals();
  const at = (word: number) => totals[word] ?? 0;
  return {
    calls: METHODS.flatMap((method, index) =>
      OUTCOMES.map((outcome, which) => ({ labels: [method, outcome], value: at(outcomeWord(index, which)) })),
    ),
    callDuration: METHODS.map((method, index) => ({
      labels: [method],
      value: {
        bounds: BOUNDS,
        counts: Array.from({ length: BOUNDS.length + 1 }, (_, bucket) => at(bucketWord(index, bucket))),
        sum: at(sumWord(index)) / 1e6,
      },
    })),
    callFailures: single(at(FAILURES_WORD)),
    refusals: REFUSALS.map((reason, index) => ({ labels: [reason], value: at(refusalWord(index)) })),
  };
}

function ofProcess() {
  const { user, system } = process.cpuUsage();
  return {
    cpu: single((user + system) / 1e6),
    memory: single(process.memoryUsage.rss()),
    // Without the one that lists them.
    descriptors: single(readdirSync('/proc/self/fd').length - 1),
    started: single(Math.round(performance.timeOrigin) / 1000),
  };
}

/** Of a family without labels; none where it is not known. */
function single(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ labels: [], value }];
}

import type { EventLoop } from '@sdrx/event';
import { connect, metricsInterface } from '@sdrx/varlink';
import { isRight } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { METRIC_FAMILIES } from '../../metrics/metric-families.js';
import { reportName } from '../../metrics/report-name.js';

/** How long the daemon may take to tell, in milliseconds. */
const TIME = 2000;

const Duration = t.type({
  name: t.literal(reportName(METRIC_FAMILIES.callDuration)),
  fields: t.type({ method: t.string }),
  value: t.type({ count: t.number, sum: t.number }),
});

/** How often each method was called since the manager began, and how many seconds these calls took together. */
export type CallTimes = ReadonlyMap<string, { readonly count: number; readonly sum: number }>;

/** Calls of a method between two looks. */
export interface MethodRate {
  readonly method: string;
  /** A second. */
  readonly rate: number;
  /** How long they took on average, in milliseconds. */
  readonly latency: number;
}

/** What the daemon tells at a socket for metrics; undefined where it tells nothing, or not this user. */
export async function readCallTimes(loop: EventLoop, path: string): Promise<CallTimes | undefined> {
  try {
    using client = connect(loop, path);
    const times = new Map<string, { count: number; sum: number }>();
    const { List } = metricsInterface.methods;
    for await (const { parameters } of client.replies(List, {}, { callTime: TIME })) {
      const duration = Duration.decode(parameters);
      if (isRight(duration)) times.set(duration.right.fields.method, duration.right.value);
    }
    return times;
  } catch {
    return undefined;
  }
}

/** Methods that were called between two looks, the most called first. A manager that began meanwhile has counted anew. */
export function methodRates(now: CallTimes, before: CallTimes, seconds: number): MethodRate[] {
  return [...now]
    .flatMap(([method, { count, sum }]) => {
      const former = before.get(method);
      const calls = count - (former?.count ?? 0);
      if (calls <= 0) return [];
      return [{ method, rate: calls / seconds, latency: Math.max(0, (sum - (former?.sum ?? 0)) / calls) * 1000 }];
    })
    .sort((one, other) => other.rate - one.rate);
}

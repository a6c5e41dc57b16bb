import type { Limits } from '../limits/limits.js';
import type { MetricsOptions, ReportOptions } from '../metrics/metrics-options.js';
import type { Restriction } from '../namespace/restriction.js';
import type { EarlyWorker } from '../pool/early-worker.js';
import type { WorkerProgram } from '../pool/worker-program.js';
import type { Log } from '../program/log.js';

export interface ManagerOptions {
  readonly runtimeDirectory: string;
  readonly restriction: Restriction;
  /** Where to listen if no socket is passed. */
  readonly listen: string | undefined;
  readonly worker: WorkerProgram;
  /** Whether that is a program of others, which gives no signs of life and counts nothing. */
  readonly foreign: boolean;
  /** One that was begun already. */
  readonly early: EarlyWorker | undefined;
  readonly limits: Limits;
  /** Where metrics are served, if they are. */
  readonly metrics: MetricsOptions | undefined;
  /** Where they are served by Varlink, if no socket is passed for that. */
  readonly report: ReportOptions | undefined;
  readonly log: Log;
}

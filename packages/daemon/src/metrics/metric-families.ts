/** What kind of values a family has, in the words of Prometheus. io.systemd.Metrics has the first two, and strings. */
export type MetricType = 'counter' | 'gauge' | 'histogram';

/** Metrics of one name, which differ in their labels. */
export interface MetricFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly description: string;
  /** The names of its labels. */
  readonly labels: readonly string[];
}

/**
 * All metrics that the daemon has. Whoever tells of them, in whatever form, has name, type and description from here, and a reading of
 * each from `readMetrics`.
 */
export const METRIC_FAMILIES = {
  build: family('build_info', 'gauge', 'Always 1; the release is its label', 'version'),
  api: family('user_namespace_interfaces', 'gauge', 'Whether the user namespace interfaces are on (1) or disabled (0)'),
  restricted: family(
    'userns_restrict',
    'gauge',
    'Whether the BPF program restricts registered namespaces (1) or not (0)',
  ),
  namespaces: family('namespaces', 'gauge', 'Registered user namespaces'),
  released: family('namespaces_released_total', 'counter', 'Dead user namespaces that were released'),
  releaseFailures: family(
    'release_failures_total',
    'counter',
    'Attempts to release a namespace that failed; they are tried again',
  ),
  releasesWaiting: family('releases_waiting', 'gauge', 'Dead user namespaces that wait to be released'),
  workers: family('workers', 'gauge', 'Worker processes by what they can do', 'state'),
  workersStarted: family('workers_started_total', 'counter', 'Worker processes that were started'),
  workersFailed: family('workers_failed_total', 'counter', 'Worker processes that ended by an error or a signal'),
  connections: family('connections', 'gauge', 'Connections of clients at the moment'),
  accepted: family('connections_accepted_total', 'counter', 'Connections that were accepted'),
  users: family('connected_users', 'gauge', 'Users who have connections at the moment'),
  barred: family('barred_users', 'gauge', 'Users who may pass no more descriptors'),
  helpers: family('helpers', 'gauge', 'Processes of the daemon within namespaces at the moment'),
  callsNow: family('calls_in_progress', 'gauge', 'Calls that are being worked on'),
  calls: family('calls_total', 'counter', 'Calls that were answered, by method and outcome', 'method', 'outcome'),
  callDuration: family('call_duration_seconds', 'histogram', 'How long calls took, by method', 'method'),
  callFailures: family('call_failures_total', 'counter', "Calls and connections that failed by the daemon's own fault"),
  refusals: family('refusals_total', 'counter', 'What clients were refused, by the limit that they met', 'reason'),
  cpu: ofProcess('cpu_seconds_total', 'counter', 'Processor time of the manager, in seconds'),
  memory: ofProcess('resident_memory_bytes', 'gauge', 'Resident memory of the manager, in bytes'),
  descriptors: ofProcess('open_fds', 'gauge', 'Descriptors that the manager has open'),
  started: ofProcess('start_time_seconds', 'gauge', 'When the manager was started, in seconds since 1970'),
} as const satisfies Readonly<Record<string, MetricFamily>>;

function family(name: string, type: MetricType, description: string, ...labels: readonly string[]): MetricFamily {
  return { name: `nsresourced_${name}`, type, description, labels };
}

/** Those that every exporter has, under the names that all have for them. */
function ofProcess(name: string, type: MetricType, description: string): MetricFamily {
  return { name: `process_${name}`, type, description, labels: [] };
}

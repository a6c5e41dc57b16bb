import { type Metric, metricsProvider, type MetricFamily as ReportFamily } from '@sdrx/varlink';
import { METRIC_FAMILIES, type MetricFamily } from './metric-families.js';
import type { Histogram, Sample } from './prometheus-text.js';
import { type MetricSources, readMetrics } from './read-metrics.js';
import { reportName } from './report-name.js';

/** The metrics as `io.systemd.Metrics` has them: no histograms, and other names, whose first part is the socket's name. */
export function reportMetrics(sources: MetricSources) {
  return metricsProvider(Object.values(METRIC_FAMILIES).map(reportFamily), () =>
    readMetrics(sources).flatMap(([family, samples]) => samples.map((sample) => reportMetric(family, sample))),
  );
}

function reportFamily(family: MetricFamily): ReportFamily {
  const { type, description } = family;
  return { name: reportName(family), description, type: type === 'histogram' ? 'object' : type };
}

function reportMetric(family: MetricFamily, { labels, value }: Sample): Metric {
  const fields = Object.fromEntries(family.labels.map((name, index) => [name, labels[index] ?? '']));
  return {
    name: reportName(family),
    ...(family.labels.length > 0 && { fields }),
    value: typeof value === 'number' ? value : distribution(value),
  };
}

/** How many there were up to each bound, and in all. */
function distribution({ bounds, counts, sum }: Histogram): Readonly<Record<string, unknown>> {
  let count = 0;
  const upTo = bounds.map((bound, index) => {
    count += counts[index] ?? 0;
    return { bound, count };
  });
  return { count: count + (counts[bounds.length] ?? 0), sum, upTo };
}

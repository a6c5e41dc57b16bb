import type { MetricFamily } from './metric-families.js';

/** The values of a histogram: how many lie in each bucket, by its upper bound, and beyond the last one; and their sum. */
export interface Histogram {
  readonly bounds: readonly number[];
  /** One more than there are bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** A value of a family, by the values of its labels in their order. */
export interface Sample {
  readonly labels: readonly string[];
  readonly value: number | Histogram;
}

/** The type of the text below. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Metrics as Prometheus reads them. https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function prometheusText(metrics: Iterable<readonly [MetricFamily, readonly Sample[]]>): string {
  const lines: string[] = [];
  for (const [family, samples] of metrics) {
    const { name, type, description } = family;
    lines.push(`# HELP ${name} ${escaped(description)}`, `# TYPE ${name} ${type}`);
    for (const sample of samples) lines.push(...sampleLines(family, sample));
  }
  return `${lines.join('\n')}\n`;
}

function sampleLines({ name, labels }: MetricFamily, { labels: values, value }: Sample): string[] {
  const pairs = labels.map((label, index) => `${label}="${escaped(values[index] ?? '').replaceAll('"', '\\"')}"`);
  if (typeof value === 'number') return [`${name}${inBraces(pairs)} ${formatted(value)}`];
  let upTo = 0;
  const buckets = value.counts.map((count, index) => {
    upTo += count;
    return `${name}_bucket${inBraces([...pairs, `le="${value.bounds[index] ?? '+Inf'}"`])} ${upTo}`;
  });
  return [
    ...buckets,
    `${name}_sum${inBraces(pairs)} ${formatted(value.sum)}`,
    `${name}_count${inBraces(pairs)} ${upTo}`,
  ];
}

function inBraces(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function formatted(value: number): string {
  return Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { MetricFamily } from './metric-families.js';

/**
 * What `io.systemd.Metrics` calls a family: `nsresourced_calls_total` is `io.systemd.NamespaceResource.callsTotal`, as the first part
 * must be the socket's name.
 */
export function reportName({ name }: Pick<MetricFamily, 'name'>): string {
  const own = name.replace(/^nsresourced_/, '').replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return `${namespaceResource.name}.${own}`;
}

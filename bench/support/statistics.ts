/** The value that half of the others are below. Throws for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  if (low === undefined || high === undefined) throw new RangeError('a median of nothing');
  return (low + high) / 2;
}

/** The value that 99 % of the others are below. Throws for none. */
export function p99(values: readonly number[]): number {
  const value = [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)];
  if (value === undefined) throw new RangeError('a percentile of nothing');
  return value;
}

/** `lowest–highest`, as `format` writes each. */
export function range(values: readonly number[], format: (value: number) => string): string {
  return `${format(Math.min(...values))}–${format(Math.max(...values))}`;
}

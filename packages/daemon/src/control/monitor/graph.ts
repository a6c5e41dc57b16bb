const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/**
 * A small graph, a character each: 0 is the lowest bar, the greatest value the highest; a gap for what is not known.
 * @param width in characters; the last values are shown, at the right
 */
export function graph(values: readonly (number | undefined)[], width: number): string {
  const shown = width > 0 ? values.slice(-width) : [];
  const most = Math.max(0, ...shown.map((value) => value ?? 0));
  const bars = shown.map((value) => {
    if (value === undefined) return ' ';
    return BARS[most === 0 ? 0 : Math.round((value / most) * (BARS.length - 1))] ?? ' ';
  });
  return bars.join('').padStart(Math.max(0, width));
}

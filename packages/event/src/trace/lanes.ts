import type { Dispatch } from './trace.js';

/** A stretch of time, in milliseconds. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** What there is of one priority. */
export interface Lane {
  readonly priority: number;
  /** In the order of their begin. */
  readonly dispatches: readonly Dispatch[];
}

/** What a picture of a trace shows: a stretch of time, and the lanes in it, the highest priority first. */
export interface Lanes {
  readonly span: Span;
  readonly lanes: readonly Lane[];
}

/**
 * Lays out what falls into a stretch of time.
 * @param from how much to leave out at the begin, in milliseconds
 * @param to where to end, in milliseconds since the begin
 */
export function layOut(dispatches: readonly Dispatch[], from = 0, to = Number.POSITIVE_INFINITY): Lanes {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const { pending, end } of dispatches) {
    first = Math.min(first, pending);
    last = Math.max(last, end);
  }
  const span = { begin: first + from, end: Math.min(first + to, last) };
  const lanes = new Map<number, Dispatch[]>();
  for (const dispatch of dispatches) {
    const { pending, end, priority } = dispatch;
    if (end < span.begin || (pending >= span.end && pending > span.begin)) continue;
    const lane = lanes.get(priority);
    if (lane === undefined) lanes.set(priority, [dispatch]);
    else lane.push(dispatch);
  }
  const sorted = [...lanes].sort(([a], [b]) => a - b);
  return { span, lanes: sorted.map(([priority, dispatches]) => ({ priority, dispatches })) };
}

/** When sources waited for their turn. */
export function waiting(dispatches: readonly Dispatch[]): Span[] {
  return dispatches
    .filter(({ pending, begin }) => begin > pending)
    .map(({ pending, begin }) => ({ begin: pending, end: begin }));
}

/** Spans that overlap, or are no further apart than `gap`, as one; in the order of their begin. */
export function union(spans: readonly Span[], gap = 0): Span[] {
  const sorted = [...spans].sort((a, b) => a.begin - b.begin);
  const merged: { begin: number; end: number }[] = [];
  for (const { begin, end } of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && begin - last.end <= gap) last.end = Math.max(last.end, end);
    else merged.push({ begin, end });
  }
  return merged;
}

/** Divides a time into parts of a length that people count in: 1, 2 or 5 of a power of ten, at most `most` of them. */
export function ticks({ begin, end }: Span, most: number): number[] {
  const least = (end - begin) / most;
  if (!(least > 0)) return [0];
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((length) => length >= least) ?? 10 * power;
  const count = Math.floor((end - begin) / step + 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => index * step);
}

/** A time for people to read: in the largest unit of which there is one whole. */
export function formatTime(milliseconds: number): string {
  const [unit, size] =
    milliseconds >= 60_000
      ? ['min', 60_000]
      : milliseconds >= 1000
        ? ['s', 1000]
        : milliseconds >= 1
          ? ['ms', 1]
          : ['µs', 1e-3];
  return `${Number((milliseconds / size).toPrecision(3))} ${unit}`;
}

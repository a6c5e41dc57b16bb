/** Keeps the processor for so many milliseconds, as a handler that computes does. */
export function busy(milliseconds: number): void {
  for (const end = performance.now() + milliseconds; performance.now() < end; );
}

import type { Dispatchable } from './dispatchable.js';
import { nameOf } from './name-of.js';
import type { DispatchListener, MeasuredDispatch } from './stopwatch.js';

/** Warns of handlers that keep a loop longer than they may. */
export class SlowHandlers implements DispatchListener {
  readonly #limit: number;
  /** Where each source was subscribed to. */
  readonly #places = new WeakMap<Dispatchable, string>();

  /** @param limit in milliseconds */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** A source is subscribed to. */
  add(source: Dispatchable): void {
    const place: { stack?: string } = {};
    Error.captureStackTrace(place, this.add);
    this.#places.set(source, place.stack?.replace(/^.*\n/, '') ?? '');
  }

  /** Warns if a handler took too long. */
  dispatched({ source, begin, end }: MeasuredDispatch): void {
    const time = end - begin;
    if (time <= this.#limit) return;
    const detail = `subscribed to\n${this.#places.get(source)}`;
    const message = `a handler of ${nameOf(source.describe())} took ${time.toFixed(1)} ms, and nothing else of the loop had its turn meanwhile`;
    process.emitWarning(message, { type: 'SlowHandlerWarning', detail });
  }

  finished(): void {}
}

import { checkObject, checkText } from '@sdrx/linux';
import { TestScheduler } from 'rxjs/testing';

/** A value that an Observable brings. */
export interface NextMarble<T> {
  /** How long after the begin, in milliseconds. */
  readonly at: number;
  /** Tells it from an end. */
  readonly kind: 'next';
  /** The value. */
  readonly value: T;
}

/** The end of an Observable by an error. */
export interface ErrorMarble {
  /** How long after the begin, in milliseconds. */
  readonly at: number;
  /** Tells it from a value and from the other end. */
  readonly kind: 'error';
  /** The error. */
  readonly error: unknown;
}

/** The end of an Observable without one. */
export interface CompleteMarble {
  /** How long after the begin, in milliseconds. */
  readonly at: number;
  /** Tells it from a value and from the other end. */
  readonly kind: 'complete';
}

/** What an Observable brings, and when. */
export type Marble<T> = NextMarble<T> | ErrorMarble | CompleteMarble;

/**
 * Reads a marble diagram as RxJS has them in `TestScheduler.run`, by its own parser: a letter is a value and `-` nothing, each
 * for a millisecond; `20ms`, `1s` and `5m`, between spaces, are times; `|` is the end, `#` an error; what stands in `( )` comes
 * at once, and as many milliseconds pass after it as it has characters, less those that are its own. Spaces mean nothing.
 * @param values what the letters stand for; without them they are themselves
 * @param error what `#` stands for, 'error' by default
 * @throws TypeError for what is no diagram, and for one with `^` or `!`
 * @example
 * marbles('-a 8ms b|', { a: 1, b: 2 });
 * // [{ at: 1, kind: 'next', value: 1 }, { at: 10, kind: 'next', value: 2 }, { at: 11, kind: 'complete' }]
 */
export function marbles<const T = string>(
  diagram: string,
  values?: Readonly<Record<string, T>>,
  error: unknown = 'error',
): Marble<T>[] {
  checkText('diagram', diagram);
  if (values !== undefined) checkObject('values', values);
  return parse(diagram, values && new Proxy(values, { get: standsFor }), error).map(({ frame: at, notification }) => {
    if (notification.kind === 'N') return { at, kind: 'next', value: notification.value };
    if (notification.kind === 'E') return { at, kind: 'error', error: notification.error };
    return { at, kind: 'complete' };
  });
}

/** In which a character is a millisecond, as in `TestScheduler.run`. */
class Parser extends TestScheduler {
  static override frameTimeFactor = 1;
}

/** Parentheses in pairs, and not in each other, which RxJS takes as it comes. */
const GROUPS = /^[^()]*(\([^()]*\)[^()]*)*$/;

function parse(diagram: string, values: object | undefined, error: unknown) {
  if (diagram.includes('^'))
    throw notDiagram(diagram, 'it has a ^, and all diagrams begin when they are subscribed to');
  if (!GROUPS.test(diagram)) throw notDiagram(diagram, 'its parentheses are no groups');
  try {
    return Parser.parseMarbles(diagram, values, error, false, true);
  } catch (reason) {
    throw notDiagram(diagram, (reason as Error).message);
  }
}

/** @throws TypeError for a letter that stands for nothing: for RxJS it would stand for undefined */
function standsFor<T>(values: Readonly<Record<string, T>>, letter: string | symbol): T | undefined {
  if (!Object.hasOwn(values, letter)) throw new TypeError(`there is no value for '${String(letter)}'`);
  return values[String(letter)];
}

function notDiagram(diagram: string, reason: string): TypeError {
  return new TypeError(`diagram must be one of marbles, not '${diagram}': ${reason}`);
}

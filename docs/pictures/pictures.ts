import { drawLife } from './draw-life.js';
import { drawOrder } from './draw-order.js';
import { drawRestart } from './draw-restart.js';
import { recordLife } from './record-life.js';
import { recordOrder } from './record-order.js';
import { recordRestart } from './record-restart.js';

/** A picture of the documentation: how what it shows is recorded, and how that is drawn. */
export interface Picture {
  readonly name: string;
  /** Runs what is to be seen. @returns what JSON can hold */
  readonly record: () => Promise<unknown>;
  /** @param recording as it was read from JSON @returns an SVG */
  readonly draw: (recording: unknown) => string;
}

function pictureOf<T>(name: string, record: () => Promise<T>, draw: (recording: T) => string): Picture {
  // What was recorded comes back from a file of the repository, which only `record` has written.
  return { name, record, draw: (recording) => draw(recording as T) };
}

export const PICTURES: readonly Picture[] = [
  pictureOf('life-of-a-source', recordLife, drawLife),
  pictureOf('order-of-dispatch', recordOrder, drawOrder),
  pictureOf('restart', recordRestart, drawRestart),
];

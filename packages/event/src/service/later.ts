import { atLoad } from '@sdrx/linux';

/** Calls once, after so many milliseconds. @returns what prevents it */
export type Later = (milliseconds: number, call: () => void) => () => void;

/** By a timer of Node's. */
export function later(milliseconds: number, call: () => void): () => void {
  const timer = atLoad.setTimeout(call, milliseconds);
  return () => atLoad.clearTimeout(timer);
}

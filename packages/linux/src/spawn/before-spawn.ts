import { checkFunction } from '../arguments.js';

const callbacks = new Set<() => void>();

/**
 * Has something done each time right before this process starts another one by `spawn`, which inherits copies of all
 * descriptors that are open then, for the moment until it becomes the program.
 * @returns what ends that
 */
export function beforeSpawn(callback: () => void): Disposable {
  checkFunction('callback', callback);
  callbacks.add(callback);
  return { [Symbol.dispose]: () => callbacks.delete(callback) };
}

/** For `spawn`. */
export function prepareSpawn(): void {
  for (const callback of callbacks) callback();
}

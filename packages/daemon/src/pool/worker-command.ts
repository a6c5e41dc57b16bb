/**
 * Workers are many and small: of V8's helper threads, which each have their own heap of the C library, one will do. No option of V8's
 * own, which would make it refuse what it knows of Node's code, and of ours, and compile all anew: see `keepSmall`.
 */
const NODE_OPTIONS = ['--v8-pool-size=1'];

/** How our own worker is called, but for its arguments: by the Node that runs this. */
export function workerCommandOf(script: string): readonly [program: string, ...args: string[]] {
  return [process.execPath, ...NODE_OPTIONS, script];
}

/** The only argument of one that is told later what it is to do; see `EarlyWorker`. */
export const ORDERS_OPTION = '--orders';

/** The file mode creation mask of manager and workers. */
export const UMASK = 0o022;

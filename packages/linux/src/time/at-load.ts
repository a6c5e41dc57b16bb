/*
 * What of Node is needed to keep time and to be called later, as it was when this package was loaded. Mock timers (node:test,
 * sinon) replace Node's own for the code under test; the loop, which is no part of that, has to go on.
 */

export const { setTimeout, clearTimeout, setImmediate, clearImmediate } = globalThis;

/** process.nextTick(), see the file's begin. */
export const nextTick = process.nextTick.bind(process);

/** performance.now(), in milliseconds; see the file's begin. */
export const performanceNow = performance.now.bind(performance);

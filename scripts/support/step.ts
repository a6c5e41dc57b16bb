import { say } from './say.js';

/**
 * Does a part of the set-up that takes its time, and says so before and after.
 *
 * @param what such as `unpacking Debian trixie`
 * @param about how long it takes where nothing is cached, in seconds
 */
export async function step<T>(what: string, about: number, work: () => Promise<T>): Promise<T> {
  say(`${what}: about ${about} s`);
  const start = performance.now();
  const result = await work();
  say(`${what}: done in ${Math.round((performance.now() - start) / 1000)} s`);
  return result;
}

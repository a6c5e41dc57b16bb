import { sourceFiles } from '../compile/sources.js';

/** Tests that do what others do, but for long: only if they are asked for. */
export const soak = 'test/soak/';

/**
 * @param filters parts of paths; none: all but the soak
 * @returns the sources of the tests that are wanted
 */
export function wantedTests(filters: readonly string[]): string[] {
  const tests = sourceFiles().filter((path) => path.startsWith('test/') && path.endsWith('.test.ts'));
  const isWanted = (path: string) =>
    filters.length === 0 ? !path.startsWith(soak) : filters.some((filter) => path.includes(filter));
  return tests.filter(isWanted).sort();
}

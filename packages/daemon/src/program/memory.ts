import * as v8 from 'node:v8';
import { runInNewContext } from 'node:vm';
import { discard, libcIfPresent } from '@sdrx/linux';

/** Of the GNU C library alone; musl keeps less. */
const mallocTrim = libcIfPresent<(pad: number) => number>('int malloc_trim(size_t)');

declare global {
  interface ImportMeta {
    /** What V8 has read of a program's code (`program/start-program.ts`), which it needs no more. */
    readonly codeCache?: Buffer | undefined;
  }
}

/**
 * Gives back the memory of what V8 has read of this program's code, more than a megabyte. It is garbage from then on, but until a
 * process with so little of that collects it all, hours may pass.
 */
export function discardCode(): void {
  if (import.meta.codeCache !== undefined) discard(import.meta.codeCache);
}

/**
 * Keeps V8's young generation as small as it is. 1 MB is plenty for messages that are answered at once. To be called when all code
 * is loaded, as V8 refuses what was compiled with other options than it has.
 */
export function keepSmall(): void {
  v8.setFlagsFromString('--semi-space-growth-factor=1');
}

/** What nothing is an instance of. */
class Nothing {}

/** Whether V8's collector can be told to do all that it can. Node 20's can't. */
const KNOWS_LAST_RESORT = Number.parseInt(process.versions.node, 10) >= 22;

/** Collects garbage and gives free memory back to the kernel. malloc_trim(3) */
export function releaseMemory(): void {
  if (KNOWS_LAST_RESORT) collect();
  else collectBySearch();
  mallocTrim?.(0);
}

/** Without the last resort V8 keeps what it has once taken for new objects. */
function collect(): void {
  // Node has no call for this, but V8's can be brought out at any time.
  v8.setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  if (typeof gc === 'function') gc({ type: 'major', flavor: 'last-resort' });
}

/** A search among all objects, which a later Node may not have, begins with the same collection, but takes four times as long. */
function collectBySearch(): void {
  withoutWarning(() => v8.queryObjects(Nothing, { format: 'count' }));
}

/** Node tells at the first search that it may change. Who runs the daemon can't do anything about that. */
function withoutWarning(work: () => void): void {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** One line on this process's memory, in kilobytes. */
export function memoryStatistics(): string {
  const parts = Object.entries(process.memoryUsage()).map(([name, bytes]) => `${name} ${Math.round(bytes / 1024)} kB`);
  return parts.join(', ');
}

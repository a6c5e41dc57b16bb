import { setFlagsFromString } from 'node:v8';
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
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * Collects garbage and gives free memory back to the kernel. malloc_trim(3). Without the last resort, which Node 20 does not know, V8
 * keeps what it has once taken for new objects.
 */
export function releaseMemory(): void {
  // Node has no call for this, but V8's can be brought out at any time.
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect({ type: 'major', flavor: 'last-resort' });
  mallocTrim?.(0);
}

/** One line on this process's memory, in kilobytes. */
export function memoryStatistics(): string {
  const parts = Object.entries(process.memoryUsage()).map(([name, bytes]) => `${name} ${Math.round(bytes / 1024)} kB`);
  return parts.join(', ');
}

import { release } from 'node:os';

/** Whether this kernel is of that version or newer. */
export function kernelIs(major: number, minor: number): boolean {
  const [ours = 0, oursMinor = 0] = release().split('.').map(Number.parseFloat);
  return ours > major || (ours === major && oursMinor >= minor);
}

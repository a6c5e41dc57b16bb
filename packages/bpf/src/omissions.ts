import { close, libc } from '@sdrx/linux';
import type { BpfObject } from './bpf-object.js';

/** The program that tells what of the kernel the others can read. */
export const FEATURES = 'sdrx_features';

/** The shortest packet that a program can be run on, in bytes. */
const PACKET = 14;

/** What it says, a bit each, and what comes of it where it is not there. */
const NEEDED = [
  [1, 'the kernel does not describe how mounts map ids: mapped mounts are treated as if they were not mapped'],
  [2, 'the kernel does not describe overlayfs, or lacks it: registered namespaces may mount no overlay'],
] as const;

/** fsopen(2), by its number on all architectures. */
const FSOPEN = 430;

const syscall = libc<(number: number, name: string, flags: number) => number>('long syscall(long, const char *, uint)');

/**
 * Has the kernel load overlayfs, unless it has it: what is not loaded is not described, and programs are fitted to what the
 * kernel describes when they are loaded.
 */
export function loadOverlay(): void {
  const fd = syscall(FSOPEN, 'overlay', 0);
  if (fd !== -1) close(fd);
}

/** What comes of what the kernel lacks, a sentence each. */
export function omissionsOf(object: BpfObject): string[] {
  const features = object.program(FEATURES).run(Buffer.alloc(PACKET)).result;
  return NEEDED.flatMap(([bit, omission]) => ((features & bit) === 0 ? [omission] : []));
}

import { check } from '../error/system-error.js';
import { libc } from '../ffi/libc.js';

const PR_SET_CHILD_SUBREAPER = 36;

const prctl = libc<(option: number, a: number, b: number, c: number, d: number) => number>(
  'int prctl(int, ulong, ulong, ulong, ulong)',
);

/**
 * Makes this process the parent of every descendant whose own parent ends, in init's place: it has to reap them.
 * PR_SET_CHILD_SUBREAPER(2const). It lasts over exec, and children don't inherit it.
 */
export function becomeSubreaper(): void {
  check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 'prctl', 'PR_SET_CHILD_SUBREAPER');
}

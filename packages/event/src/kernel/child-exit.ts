import type { ChildChange } from '@sdrx/linux';

/** Whether a change is a child's end. */
export function isExit(code: ChildChange['code']): boolean {
  return code === 'exited' || code === 'killed' || code === 'dumped';
}

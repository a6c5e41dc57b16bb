import type { Registry } from '@sdrx/daemon';

/** Whether nobody has ids of this range, neither as its own nor to give them to others. */
export function isRangeFree(registry: Registry, start: number, size: number): boolean {
  return registry.holdersOf(start, size).length === 0;
}

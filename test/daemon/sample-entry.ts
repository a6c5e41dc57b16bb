import type { NamespaceEntry } from '@sdrx/daemon';

/** A namespace of root's with a range of the usual size. */
export const probe = {
  owner: 0,
  name: 'probe',
  userns: 4_026_532_001,
  range: { start: 1_429_471_232, size: 65_536, target: 0 },
  cgroups: [],
} satisfies NamespaceEntry;

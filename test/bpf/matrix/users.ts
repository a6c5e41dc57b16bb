import { initial, type UserNamespace } from './facts.js';
import type { IdMap } from './ids.js';

/** Where the namespaces' ids begin, outside. */
export const RANGES = { lent: 0x00a0_0000, sibling: 0x00b0_0000, mixed: 0x00c0_0000, lodger: 0x00d0_0000 };
/** Of files that belong to images, which nobody is lent. */
export const FOREIGN = 0x7ffe_0000;
/** One of the ids that are lent singly. */
const SINGLE = 61_200;
/** Somebody's own. */
const USER = 1000;

const WHOLE = 65_536;

function namespace(name: string, map: IdMap, more: Partial<UserNamespace> = {}): UserNamespace {
  return { name, parent: initial, uids: map, gids: map, ...more };
}

const registered = { registered: true };

/** Lent a whole range: the one that most is tried in. */
export const lent = namespace('lent', [[0, RANGES.lent, WHOLE]], registered);
/** The same, but nobody registered it. */
export const sibling = namespace('sibling', [[0, RANGES.sibling, WHOLE]]);
/** Made inside, with all ids. */
export const child = namespace('child', [[0, 0, WHOLE]], { parent: lent });
/** Made inside, too, and registered itself: what is its parent's is foreign to it. */
export const inner = namespace('inner', [[0, 30_000, 1000]], { parent: lent, ...registered });
export const single = namespace('single', [[0, SINGLE, 1]], registered);
/** Registered, but with ids of its owner's own. */
export const self = namespace('self', [[0, USER, 1]], registered);
export const mixed = namespace(
  'mixed',
  [
    [0, RANGES.mixed, 1000],
    [1000, FOREIGN, 1000],
  ],
  registered,
);
/** Not registered, with ids that are not lent, but for those that it passes on. */
export const landlord = namespace('landlord', [
  [0, 200_000, 1000],
  [1000, RANGES.lodger, WHOLE],
]);
export const lodger = namespace('lodger', [[0, 1000, WHOLE]], { parent: landlord, ...registered });
export const quiet = namespace('quiet', [[0, RANGES.lent + WHOLE, WHOLE]], { ...registered, deniesSetgroups: true });

/** All that are kept, each after its parent. */
export const USERS: readonly UserNamespace[] = [
  ...[lent, sibling, child, inner, single, self, mixed, landlord, lodger, quiet],
];

import { atLoad } from '@sdrx/linux';
import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { Id, refine, Uint32 } from '../registry/registry-fields.js';
import { ParsedFile } from './parsed-file.js';

/** How long what the files said is taken to be so, in milliseconds. */
const INTERVAL = 1000;

/** Ids that somebody may take on. */
export interface LentIds {
  /** The uid of the user who may; undefined if that is not known. */
  readonly owner: number | undefined;
  /** The first one of them. */
  readonly first: number;
}

export interface SubordinateIdsOptions {
  /** subuid(5); /etc/subuid unless given. */
  readonly subuid?: string;
  /** passwd(5); /etc/passwd unless given. */
  readonly passwd?: string;
  /** How long what the files said is taken to be so, in milliseconds; 1000 unless given. */
  readonly interval?: number;
}

/** A line of /etc/subuid. */
interface Line {
  readonly owner: string;
  readonly start: number;
  readonly count: number;
}

/** The ids of a line, with the number of that line. */
interface Range extends LentIds {
  readonly line: number;
  readonly end: number;
  /** The highest end of all ranges up to this one, in the order of their beginnings. */
  readonly reach: number;
}

const LineFields = refine(
  'LineFields',
  t.type({ owner: refine('Owner', t.string, (owner) => owner !== ''), start: Uint32, count: Uint32 }),
  ({ start, count }) => count > 0 && start + count <= 0xffff_ffff,
);

/** newuidmap(1) of some releases reads hexadecimal numbers, too. */
const NUMBER = /^(\d+|0[xX][\dA-Fa-f]+)$/;

/**
 * The subordinate ids of the system's users, subuid(5): by newuidmap(1) their processes can be each of them. Only the files are
 * looked at, not what else nsswitch.conf(5) may name for `subid` and `passwd`: that may take long to answer, or never do.
 *
 * An id that is a user's own, in /etc/passwd or as the one that a line names, is that user's, also within a range.
 */
export class SubordinateIds {
  readonly #lines: ParsedFile<readonly Line[]>;
  readonly #users: ParsedFile<ReadonlyMap<string, number>>;
  readonly #interval: number;
  #looked = Number.NEGATIVE_INFINITY;
  #of: readonly [lines: readonly Line[], users: ReadonlyMap<string, number>] | undefined;
  #ranges: readonly Range[] = [];
  #uids: ReadonlySet<number> = new Set();

  constructor({ subuid = '/etc/subuid', passwd = '/etc/passwd', interval = INTERVAL }: SubordinateIdsOptions = {}) {
    this.#lines = new ParsedFile(subuid, parseLines);
    this.#users = new ParsedFile(passwd, parseUsers);
    this.#interval = interval;
  }

  /** Whose subordinate id this is: of several, the one who stands first in the file; undefined if it is nobody's. */
  find(uid: number): LentIds | undefined {
    this.#look();
    if (this.#uids.has(uid)) return undefined;
    let found: Range | undefined;
    for (let index = lastUpTo(this.#ranges, uid); index >= 0; index--) {
      const range = this.#ranges[index] as Range;
      if (range.reach <= uid) break;
      if (range.end > uid && (found === undefined || range.line < found.line)) found = range;
    }
    return found?.owner === uid ? undefined : found;
  }

  #look(): void {
    const now = atLoad.performanceNow();
    if (now - this.#looked < this.#interval) return;
    this.#looked = now;
    const [lines, users] = [this.#lines.value, this.#users.value];
    if (this.#of?.[0] === lines && this.#of[1] === users) return;
    this.#of = [lines, users];
    this.#ranges = rangesOf(lines, users);
    this.#uids = new Set(users.values());
  }
}

/** In the order of their beginnings. */
function rangesOf(lines: readonly Line[], users: ReadonlyMap<string, number>): Range[] {
  const ranges = lines.map(({ owner, start, count }, line) => {
    const uid = users.get(owner) ?? (NUMBER.test(owner) && Id.is(Number(owner)) ? Number(owner) : undefined);
    return { owner: uid, first: start, end: start + count, line };
  });
  let reach = 0;
  return ranges
    .sort((a, b) => a.first - b.first)
    .map((range) => {
      reach = Math.max(reach, range.end);
      return { ...range, reach };
    });
}

/** The index of the last range that begins at or before an id; -1 for none. */
function lastUpTo(ranges: readonly Range[], id: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as Range).first <= id) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Lines that are none are left out, as newuidmap(1) does. */
function parseLines(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    const [owner, start = '', count = '', ...more] = line.split(':');
    if (more.length > 0) return [];
    const fields = LineFields.decode({ owner, start: number(start), count: number(count) });
    return isLeft(fields) ? [] : [fields.right];
  });
}

/** The uids of users by their names; of several with one name the first counts, as for getpwnam(3). */
function parseUsers(text: string): Map<string, number> {
  const users = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [name = '', , uid = ''] = line.split(':');
    const decoded = Id.decode(number(uid));
    if (name !== '' && !isLeft(decoded) && !users.has(name)) users.set(name, decoded.right);
  }
  return users;
}

function number(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN;
}

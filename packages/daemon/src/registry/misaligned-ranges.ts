import { isSystemError } from '@sdrx/linux';
import { firstIdOf } from '../namespace/uid-range.js';
import { kindOf, startOf } from './registry-names.js';
import type { RegistryReader } from './registry-reader.js';

const SIZE_MAX = 65_536;

interface MisalignedRange {
  readonly file: string;
  readonly start: number;
  readonly size: number;
}

/**
 * The ranges that do not begin where ours do, so that a look at a range's first id does not find them. systemd gives such
 * ranges where its own ids begin elsewhere; we don't. So none are added while we are there, and one look is enough.
 */
export class MisalignedRanges {
  readonly #reader: RegistryReader;
  #ranges: MisalignedRange[] | undefined;

  constructor(reader: RegistryReader) {
    this.#reader = reader;
  }

  /** The inodes of the namespaces that have ids of a range; undefined for what can't be read. */
  holdersOf(start: number, size: number): (number | undefined)[] {
    this.#ranges ??= this.#find();
    return this.#ranges
      .filter((range) => range.start < start + size && start < range.start + range.size)
      .flatMap(({ file }) => (kindOf(file) === 'link' ? this.#reader.ownersOf(file) : this.#reader.giversBy(file)));
  }

  #find(): MisalignedRange[] {
    return this.#reader.folder.names().flatMap((name) => {
      const start = startOf(name);
      const kind = kindOf(name);
      const isAligned = start === undefined || firstIdOf(start) === undefined || firstIdOf(start) === start;
      if (isAligned || (kind !== 'link' && kind !== 'delegation')) return [];
      return [{ file: name, start, size: this.#sizeOf(name) }];
    });
  }

  /** One that can't be read may have as many ids as any. */
  #sizeOf(file: string): number {
    try {
      if (kindOf(file) === 'delegation') return this.#reader.delegation(file)?.size ?? SIZE_MAX;
      const holder = this.#reader.holder(file);
      return holder === undefined || holder === 'unknown' ? SIZE_MAX : (holder.range?.size ?? SIZE_MAX);
    } catch (error) {
      if (isSystemError(error, 'EBADMSG')) return SIZE_MAX;
      throw error;
    }
  }
}

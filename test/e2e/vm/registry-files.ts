import { readdirSync, readFileSync, statSync } from 'node:fs';
import { REGISTRY } from './service.js';

/** What is looked at of a file of the registry. */
export interface Entry {
  readonly name?: string;
  readonly start?: number;
  readonly size?: number;
  readonly delegates?: readonly Range[];
  readonly usernsId?: unknown;
  readonly netifs?: unknown;
  readonly target?: number;
  readonly startGid?: number;
  readonly targetGid?: number;
  readonly setgroupsDeny?: boolean;
}

/** Ids in a row. */
interface Range {
  readonly start: number;
  readonly size: number;
}

/** Ids that a daemon chose for a namespace. */
export interface NamedRange extends Range {
  readonly name: string;
}

interface KeptFile {
  /** What another file at its path does not have. */
  readonly version: string;
  readonly entry: Entry;
}

/** No number that means something else is as large. */
const FIRST_TRANSIENT = 61_184;

/**
 * The files of the registry. One is read again only when another one has taken its place, as a daemon does it: an emulated machine takes
 * long for a hundred of them after each call.
 */
export class RegistryFiles {
  readonly #files = new Map<string, KeptFile>();

  /** Looks what has changed. */
  look(): void {
    const found = new Set<string>();
    for (const file of readdirSync(REGISTRY, { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || file.name === 'lock') continue;
      const path = `${file.parentPath}/${file.name}`;
      found.add(path);
      const { ino, mtimeNs } = statSync(path, { bigint: true });
      const version = `${ino} ${mtimeNs}`;
      if (this.#files.get(path)?.version === version) continue;
      this.#files.set(path, { version, entry: JSON.parse(readFileSync(path, 'utf8')) });
    }
    for (const path of this.#files.keys()) if (!found.has(path)) this.#files.delete(path);
  }

  /** The ranges of all namespaces, and those that they may give away. */
  get ranges(): NamedRange[] {
    const entries = [...this.#files].filter(([path]) => /\/i\d+\.userns$/.test(path));
    return entries.flatMap(([, { entry }]): NamedRange[] => {
      const { name = '', start = 0, size = 0, delegates = [] } = entry;
      const given = delegates.map(({ start, size }, index) => ({ name: `${name}/${index}`, start, size }));
      return [...(start >= FIRST_TRANSIENT ? [{ name, start, size }] : []), ...given];
    });
  }

  /** All, by their paths below the registry. An entry is the same object as long as its file is the same. */
  get entries(): [path: string, entry: Entry][] {
    return [...this.#files].map(([path, { entry }]) => [path.slice(REGISTRY.length), entry]);
  }
}

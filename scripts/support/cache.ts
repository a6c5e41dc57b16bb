import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { homedir } from 'node:os';

/** Where this user keeps what is slow to make. */
const cache = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/sdrx`;

/** After how long without use a folder is removed, in milliseconds: other branches may still want it. */
const lifetime = 7 * 24 * 3600 * 1000;

/** Where `cachedFolder` has its folder, or will have it. */
export function cachedPath(name: string, inputs: unknown): string {
  const hash = createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 12);
  return `${cache}/${name}-${hash}`;
}

/**
 * A folder of the cache, made when there is none for the same inputs.
 *
 * @param inputs everything that decides what the folder holds, as JSON
 * @param fill is given the empty folder, whose name changes afterwards
 * @returns its path
 */
export async function cachedFolder(
  name: string,
  inputs: unknown,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = cachedPath(name, inputs);
  if (existsSync(folder)) {
    // For its age, see below.
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  mkdirSync(cache, { recursive: true });
  removeUnused(name);
  // Renamed when complete: whoever is interrupted leaves no half folder under the final name.
  const unfinished = mkdtempSync(`${folder}.unfinished-`);
  try {
    // It may be the root of a tree in which other users' programs run.
    chmodSync(unfinished, 0o755);
    await fill(unfinished);
    publish(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

function publish(unfinished: string, folder: string): void {
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    // Another process was faster: its folder is as good.
    if (!existsSync(folder)) throw error;
  }
}

/** Removes folders of other inputs, and what interrupted runs have left. */
function removeUnused(name: string): void {
  for (const file of readdirSync(cache).filter((file) => file.startsWith(`${name}-`))) {
    if (Date.now() - statSync(`${cache}/${file}`).mtimeMs > lifetime)
      rmSync(`${cache}/${file}`, { recursive: true, force: true });
  }
}

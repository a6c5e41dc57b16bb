import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';

/** Where this user keeps what is slow to make. */
const cache = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/sdrx`;

/**
 * A folder of the cache, made when there is none for the same inputs.
 *
 * @param {string} name
 * @param {unknown} inputs everything that decides what the folder holds, as JSON
 * @param {(folder: string) => void} fill the empty folder that it is given, whose name changes afterwards
 * @returns {string} its path
 */
export function cachedFolder(name, inputs, fill) {
  const hash = createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 12);
  const folder = `${cache}/${name}-${hash}`;
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  // Renamed when complete: whoever is interrupted leaves no half folder under the final name.
  const unfinished = mkdtempSync(`${folder}.unfinished-`);
  try {
    // It may be the root of a tree in which other users' programs run.
    chmodSync(unfinished, 0o755);
    fill(unfinished);
    publish(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** @param {string} unfinished @param {string} folder */
function publish(unfinished, folder) {
  try {
    renameSync(unfinished, folder);
  } catch (error) {
    // Another process was faster: its folder is as good.
    if (!existsSync(folder)) throw error;
  }
}

import { accessSync, constants, readFileSync } from 'node:fs';

/** Whether this user may read a file. */
export function canRead(path: string): boolean {
  return may(path, constants.R_OK);
}

/** What a file has, without its last line break; undefined where it is not, or is not for this user. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}

/** Where a program is along PATH, or where administrators have it. */
export function findProgram(name: string, path = process.env.PATH ?? ''): string | undefined {
  const folders = [...path.split(':').filter(Boolean), '/usr/sbin', '/sbin'];
  return folders.map((folder) => `${folder}/${name}`).find((file) => may(file, constants.X_OK));
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

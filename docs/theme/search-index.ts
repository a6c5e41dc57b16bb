import { readFileSync, writeFileSync } from 'node:fs';

/** Where lunr, which the pages search by, makes a node's key of its edges' letters and numbers, in TypeDoc's bundle. */
const KEY = 'e=e+s+o.id}';

/**
 * Has the pages' search tell its nodes apart: lunr 2.3.9 joins letters and numbers to keys without anything between them, so that with
 * digits in words two nodes may have the same, and it looks for words that nobody has written, and fails.
 * @throws Error if the script is another one than was looked at
 */
export function separateSearchKeys(script: string): void {
  const text = readFileSync(script, 'utf8');
  if (text.split(KEY).length !== 2) throw new Error(`${script} does not have '${KEY}' once`);
  writeFileSync(script, text.replace(KEY, "e=e+s+o.id+' '}"));
}

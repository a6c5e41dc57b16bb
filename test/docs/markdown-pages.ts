import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { programPath } from '../support/program-path.js';

/** The repository's top folder. */
export const root = programPath('../../..', import.meta.url);

/** Every Markdown page of the repository, as a path below the top folder. */
export function markdownPages(): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = join(folder, entry.name);
      if (!entry.isDirectory()) return entry.name.endsWith('.md') ? [path] : [];
      return /^(\.|node_modules$|dist$|site$)/.test(entry.name) ? [] : below(path);
    });
  return below('');
}

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { markdownPages, root } from './markdown-pages.js';

/** What is in a page beside its programs. */
function proseOf(page: string): string {
  return readFileSync(join(root, page), 'utf8').replaceAll(/^```.*?^```$/gms, '');
}

/** What GitHub and npm make of a heading. */
function anchorOf(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
    .replaceAll(' ', '-');
}

function anchorsOf(page: string): string[] {
  return [...proseOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
}

/** Whether what a page links to is there, heading included. */
function leadsSomewhere(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const found = path === '' ? page : join(dirname(page), path);
  if (!existsSync(join(root, found))) return false;
  return anchor === undefined || !found.endsWith('.md') || anchorsOf(found).includes(anchor);
}

t.test('what pages of the repository link to is there', (t) => {
  const all = markdownPages();
  t.ok(all.includes('README.md') && all.includes('docs/limits.md') && all.includes('packages/daemon/README.md'));
  for (const page of all) {
    const targets = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
    const own = targets.filter((target) => !/^[a-z]+:/.test(target));
    t.strictSame(
      own.filter((target) => !leadsSomewhere(page, target)),
      [],
      page,
    );
  }
  t.end();
});

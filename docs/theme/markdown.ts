import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FRONT_PAGE, SECTIONS } from './contents.js';
import { root } from './root.js';

/** Where what is no page of the site can be read. */
const REPOSITORY = 'https://github.com/sdrx/sdrx';

const pages: ReadonlySet<string> = new Set([FRONT_PAGE, ...SECTIONS.flatMap(({ pages }) => pages)]);

/** A page as the site has it. */
export interface Page {
  /** Its first heading. */
  readonly title: string;
  /** Its Markdown, with links that lead somewhere in the site, too. */
  readonly text: string;
}

/** @param path of a Markdown file, below the repository's top folder @throws Error if it has no title */
export function readPage(path: string): Page {
  const text = readFileSync(`${root}/${path}`, 'utf8');
  const [, title] = /^# (.*)$/m.exec(text) ?? [];
  if (title === undefined) throw new Error(`${path} has no title, a line that begins with #`);
  return { title, text: withLinks(path, text) };
}

/** Programs stay as they are. */
function withLinks(page: string, text: string): string {
  return text
    .split(/(^```.*?^```$)/ms)
    .map((part, index) => (index % 2 === 1 ? part : linked(page, part)))
    .join('');
}

function linked(page: string, prose: string): string {
  return prose.replaceAll(/\]\(([^)\s]+)\)/g, (_, target: string) => `](${linkFrom(page, target)})`);
}

/** A link to a page or a picture stays; one to another file of the repository leads to where that can be read. */
function linkFrom(page: string, target: string): string {
  if (/^([a-z]+:|#)/.test(target)) return target;
  const [path = '', anchor] = target.split('#');
  const file = join(dirname(page), path).replace(/\/$/, '');
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (pages.has(file) || /\.(svg|png)$/.test(file)) return target;
  if (pages.has(`${file}/README.md`)) return `${path.replace(/\/$/, '')}/README.md${hash}`;
  const isFolder = existsSync(`${root}/${file}`) && statSync(`${root}/${file}`).isDirectory();
  return `${REPOSITORY}/${isFolder ? 'tree' : 'blob'}/main/${file}${hash}`;
}

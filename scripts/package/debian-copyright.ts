import { readFileSync } from 'node:fs';
import { root } from '../support/root.js';

/** Debian has the long ones itself, and wants them named. */
const inDebian = { 'Apache-2.0': 'On Debian its text is in /usr/share/common-licenses/Apache-2.0.' };

/**
 * Who has which rights in what is in the package, in the format that Debian wants.
 * https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
 *
 * @param template with places for the text of MIT and for the packages of which something is in the programs
 * @param programs their folder
 */
export function debianCopyright(template: string, programs: string): string {
  const [, mit = ''] = readFileSync(`${root}/LICENSE`, 'utf8').split(/^Copyright .*\n\n/m);
  return template.replace('@MIT@', () => folded(mit)).replace('@BUNDLED@', () => folded(bundled(programs)));
}

/** What comes with the bundles, without what Debian has. */
function bundled(programs: string): string {
  const [head = '', ...parts] = readFileSync(`${programs}/THIRD-PARTY-LICENSES`, 'utf8').split(/^(?=.+\n=+\n)/m);
  const texts = parts.map((part) => {
    const [title = ''] = part.split('\n', 1);
    const [, own] = Object.entries(inDebian).find(([license]) => title.endsWith(`, ${license}`)) ?? [];
    return own === undefined ? part : `${title}\n${'='.repeat(title.length)}\n\n${own}\n\n`;
  });
  return head + texts.join('');
}

/** As a field with several lines. */
function folded(text: string): string {
  return text
    .trim()
    .split(/\r?\n/)
    .map((line) => (line.trim() === '' ? ' .' : ` ${line}`))
    .join('\n');
}

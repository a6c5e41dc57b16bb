import { readFileSync } from 'node:fs';
import { root } from '../support/root.js';
import { UserError } from '../support/user-error.js';
import { wrapped } from './wrapped.js';

/** Of a line, in characters. deb-changelog(5) */
const width = 76;

/**
 * What CHANGELOG.md says of the daemon in its newest release, as Debian wants it. deb-changelog(5)
 *
 * @param epoch when the package was made, in seconds since 1970
 */
export function debianChangelog(name: string, version: string, epoch: number): string {
  const [, newest = ''] = readFileSync(`${root}/CHANGELOG.md`, 'utf8').split(/^## (?=\d)/m);
  const changes = changesOfDaemon(newest);
  if (changes.length === 0) throw new UserError('CHANGELOG.md says nothing of @sdrx/daemon in the newest release');
  const date = new Date(epoch * 1000).toUTCString().replace('GMT', '+0000');
  const lines = changes.map((text) => `  * ${wrapped(text, width).join('\n    ')}\n`).join('');
  return `${name} (${version}) unstable; urgency=medium\n\n${lines}\n -- ${maintainer()}  ${date}\n`;
}

/** Each without the marks of Markdown. */
function changesOfDaemon(release: string): string[] {
  const parts = release.split(/^#### /m).filter((part) => part.startsWith('@sdrx/daemon\n'));
  return parts.flatMap((part) =>
    [...part.matchAll(/^- (.*(?:\n {2}.*)*)/gm)].map(([, text = '']) =>
      text.replaceAll('`', '').replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1'),
    ),
  );
}

function maintainer(): string {
  const control = readFileSync(`${root}/packages/daemon/debian/control`, 'utf8');
  return /^Maintainer: (.*)$/m.exec(control)?.[1] ?? '';
}

import { existsSync, readdirSync } from 'node:fs';
import { ACTIONS } from '../../polkit/action.js';
import { type Finding, finding } from './finding.js';
import { textOf } from './look.js';

/** Where distributions have its daemon. */
const DAEMONS = ['/usr/lib/polkit-1/polkitd', '/usr/libexec/polkitd', '/usr/lib/policykit-1/polkitd'];

/** Where it looks for the actions that there are. */
const FOLDERS = ['/etc', '/run', '/usr/local/share', '/usr/share'].map((folder) => `${folder}/polkit-1/actions`);

/** Whether rules of polkit(8) are asked who may. */
export function checkPolkit(): Finding {
  const daemon = DAEMONS.find(existsSync);
  if (daemon === undefined) {
    const detail = 'not installed: every user may have ids, and nobody can be refused by a rule';
    return { what: 'polkit', state: 'absent', detail, remedy: 'apt install polkitd' };
  }
  const unknown = unknownActions();
  return finding('polkit', unknown.length === 0 && `${daemon}, which the daemon asks who may`, [
    'absent',
    `${daemon} does not know ${unknown[0]}: every user may`,
    'copy polkit/sdrx-nsresourced.policy of the package to /usr/share/polkit-1/actions',
  ]);
}

function unknownActions(): string[] {
  const policies = FOLDERS.flatMap(policiesOf);
  return Object.values(ACTIONS).filter((action) => !policies.some((text) => text.includes(`"${action}"`)));
}

/** The policies in a folder that are of daemons such as ours. */
function policiesOf(folder: string): string[] {
  return namesIn(folder)
    .filter((name) => /(namespace-resource|nsresourced)[^/]*\.policy$/.test(name))
    .map((name) => textOf(`${folder}/${name}`) ?? '');
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

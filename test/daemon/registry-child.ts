/** A process of its own that works on a registry: `registry-child DIRECTORY WHAT [ENTRY [STEPS]]`. */
import { existsSync, writeFileSync } from 'node:fs';
import { type NamespaceEntry, parseNamespaceEntry, Registry } from '@sdrx/daemon';
import { failAfter } from './fs-fault.js';

const [directory = '', what = '', text = '', steps = 'Infinity'] = process.argv.slice(2);
const entry = parseNamespaceEntry(text) as NamespaceEntry;
const registry = Registry.open(directory);

if (what === 'hold') {
  const lock = registry.lock();
  process.stdout.write('holding\n');
  setTimeout(() => {
    writeFileSync(`${directory}/released`, '');
    lock[Symbol.dispose]();
  }, 200);
} else if (what === 'churn') {
  process.stdout.write('churning\n');
  for (let round = 0n; !existsSync(`${directory}/stop`); round++) registry.update({ ...entry, cgroups: [round] });
} else {
  failAfter(Number(steps), () => {
    process.kill(process.pid, 'SIGKILL');
    throw new Error('outlived SIGKILL');
  });
  if (what === 'store') registry.store(entry);
  if (what === 'update') registry.update(entry);
  if (what === 'remove') registry.remove(entry.userns);
}

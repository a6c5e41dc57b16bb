import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { needsLibsystemd, ours, oursVirtual, theirs, theirsOfTree } from './interpreters.js';

const scenarios = fileURLToPath(new URL('../../parity/scenarios/', import.meta.url));
const files = readdirSync(scenarios, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.txt'))
  .sort();

t.test('every scenario leaves the same trace as on libsystemd, and in a virtual world', async (t) => {
  using folder = new Folder();
  await using here = ours(folder);
  await using virtual = oursVirtual(folder);
  await using there = 'skip' in needsLibsystemd ? undefined : theirs(folder);
  await using newer = there && theirsOfTree(folder);
  if (there === undefined) t.pass('as on libsystemd', needsLibsystemd);

  for (const file of files) {
    const scenario = readFileSync(scenarios + file, 'utf8');
    await t.test(file.slice(0, -'.txt'.length), async (t) => {
      const others = [there, newer, virtual].filter((other) => other !== undefined);
      const [trace = [], ...traces] = await Promise.all([here, ...others].map((other) => other.run(scenario)));
      others.forEach(({ name }, index) => {
        const skip = traces[index]?.find((line) => line.startsWith('unsupported'));
        if (skip) t.pass(`as on ${name}`, { skip });
        else t.strictSame(trace, traces[index], `as on ${name}`, { scenario });
      });
    });
  }
});

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { needsLibsystemd, ours, theirs, theirsOfTree } from './interpreters.js';

const scenarios = fileURLToPath(new URL('../../parity/scenarios/', import.meta.url));
const files = readdirSync(scenarios, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.txt'))
  .sort();

t.test('every scenario leaves the same trace as on libsystemd', needsLibsystemd, async (t) => {
  using folder = new Folder();
  await using here = ours(folder);
  await using there = theirs(folder);
  await using newer = theirsOfTree(folder);

  for (const file of files) {
    const scenario = readFileSync(scenarios + file, 'utf8');
    await t.test(file.slice(0, -'.txt'.length), async (t) => {
      const peers = [there, newer].filter((peer) => peer !== undefined);
      const [trace, ...expected] = await Promise.all([here, ...peers].map((interpreter) => interpreter.run(scenario)));
      peers.forEach(({ name }, index) => {
        const skip = expected[index]?.find((line) => line.startsWith('unsupported'));
        if (skip) t.pass(`as on ${name}`, { skip });
        else t.strictSame(trace, expected[index], `as on ${name}`, { scenario });
      });
    });
  }
});

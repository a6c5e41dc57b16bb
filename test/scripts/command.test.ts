import { readFileSync } from 'node:fs';
import t from 'tap';
import { logged, setUpLog } from '#scripts/support/command.js';
import { programPath } from '../support/program-path.js';

const log = () => readFileSync(programPath(`../../../${setUpLog}`, import.meta.url), 'utf8');

t.test('what a program of the set-up writes goes to the log, and is shown in part if it fails', async (t) => {
  await logged('sh', ['-c', 'echo something; echo else >&2; echo $WORD'], { WORD: 'word' });
  for (const line of ['something', 'else', 'word']) t.match(log(), line);
  const error = await logged('sh', ['-c', 'seq 100 200; exit 3']).catch((error: Error) => error);
  t.match(error, { name: 'UserError', message: /^sh -c seq 100 200; exit 3: exit code 3\n(\d+\n){5,40}All of it: / });
  t.match(error, { message: '\n200\n' });
  t.notMatch(error, { message: '\n100\n' });
  await t.rejects(logged('no-such-program', []), { name: 'UserError', message: /no-such-program.*ENOENT/ });
});

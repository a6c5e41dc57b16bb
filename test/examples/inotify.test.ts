import { renameSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { RunningExample } from './running-example.js';

t.test('it rereads a file that is written, or replaced by a rename', async (t) => {
  using folder = new Folder();
  const path = folder.join('service.json');
  writeFileSync(path, '{"number": 1}');
  const example = new RunningExample(t, 'inotify', { args: [path] });
  await example.prints('configuration: { number: 1 }');
  writeFileSync(path, '{"number": 2}');
  await example.prints('configuration: { number: 2 }');
  // Twice: the second time the file that is there is another one than at the start.
  for (const number of [3, 4]) {
    writeFileSync(folder.join('new'), `{"number": ${number}}`);
    renameSync(folder.join('new'), path);
    await example.prints(`configuration: { number: ${number} }`);
  }
  writeFileSync(path, 'half a {');
  await example.prints(/^the old configuration stays: SyntaxError/);
  t.equal(example.lines.length, 5, 'nothing was read for the other file');

  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const docs = programPath('../../../docs', import.meta.url);

t.test('the API documentation is written without a warning: what is public is documented', async (t) => {
  using folder = new Folder();
  const typedoc = [`${docs}/node_modules/typedoc/bin/typedoc`, '--options', `${docs}/typedoc.json`];
  const { output, exit } = runNode([...typedoc, '--logLevel', 'Warn', '--out', folder.path]);
  t.equal(output, '');
  t.match(exit, { code: 'exited', status: 0 });

  const pages = readdirSync(folder.join('classes'));
  for (const page of [
    'event.index.EventLoop',
    'event.testing.VirtualLoop',
    'linux.Fd',
    'varlink.VarlinkClient',
    'bpf.BpfObject',
  ]) {
    t.ok(pages.includes(`_sdrx_${page}.html`), `${page} has a page`);
  }
  const page = readFileSync(folder.join('classes', '_sdrx_event.index.EventLoop.html'), 'utf8');
  for (const source of ['io', 'time', 'signal', 'child', 'inotify', 'defer', 'post', 'exiting', 'memoryPressure']) {
    t.match(page, `id="${source.toLowerCase()}"`, `${source} is on the page`);
  }
  t.notMatch(page, /sources\/[a-z-]+\.ts/, 'it refers to no file that its reader has not');
  t.match(page, 'interfaces/_sdrx_linux.SignalInfo.html', "it refers to another package's types");
});

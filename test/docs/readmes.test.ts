import { readFileSync } from 'node:fs';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { UserNamespace } from '../support/user-namespace.js';
import { compilePrograms, PageProgram } from './page-program.js';

/** Pages with programs that have a name: a comment in the first line. */
const PAGES = ['packages/varlink/README.md', 'packages/daemon/README.md', 'CONTRIBUTING.md'];

/** The programs of a page, by their names. */
function programsOf(page: string): [string, string][] {
  const text = readFileSync(programPath(`../../../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```ts\n\/\/ ([a-z-]+)\.ts\n(.*?)^```$/gms)].map(([, name = '', program = '']) => [
    name,
    program,
  ]);
}

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

t.test('the programs of the READMEs compile, with all checks on', (t) => {
  const programs = new Map(PAGES.flatMap(programsOf));
  t.strictSame(
    [...programs.keys()],
    ['board', 'service', 'client', 'search', 'shout', 'conventions', 'allocate', 'mounts'],
  );
  compilePrograms(folder, programs);
  t.end();
});

t.test("varlink's service and client speak to each other, and the service ends by SIGTERM", async (t) => {
  const manager = new ServiceManager(t);
  const socket = folder.join('board.sock');
  const service = new PageProgram(t, folder, 'service', [`unix:${socket}`], { NOTIFY_SOCKET: manager.notifySocket });
  await manager.waitFor(/^READY=1$/m);
  const client = new PageProgram(t, folder, 'client', [socket], {});
  t.equal(await client.ended(), 0);
  t.equal(client.output, 'back at five\nrefused: at most 200 characters\nwatched: back at five\n');
  service.kill('SIGTERM');
  t.equal(await service.ended(), 0);
});

t.test('the other protocol on the same connection is spoken', async (t) => {
  const program = new PageProgram(t, folder, 'shout', [folder.join('shout.sock')], {});
  t.equal(await program.ended(), 0);
  t.equal(program.output, '1 LOUD AND CLEAR\n');
});

t.test('what declares something only does so without a complaint', async (t) => {
  for (const name of ['search', 'conventions']) {
    const program = new PageProgram(t, folder, name, [], {});
    t.strictSame([await program.ended(), program.output], [0, '']);
  }
});

t.test("daemon's client has ids given to a namespace", needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using namespace = new UserNamespace();
  const client = new PageProgram(t, folder, 'allocate', [String(namespace.child.pid), daemon.socketPath], {});
  t.equal(await client.ended(), 0);
  t.match(client.output, /^0 +\d+ +65536\n$/);
});

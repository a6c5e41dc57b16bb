import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { ask } from '../support/http-clients.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { ServiceManager } from '../support/service-manager.js';
import { traceOfPage } from './draw-trace.js';
import { compilePages, PageProgram, pageExists } from './page-program.js';

/** The pages that tell how something is done. Each begins with a whole program. */
const PAGES = [
  'README',
  'activate',
  'serve',
  'end',
  'sleep-when-idle',
  'restart',
  'keep-running',
  'reload',
  'own-source',
  'trace',
  'log',
  'environment',
  'sdrx-event',
].filter(pageExists);

const drawTrace = programPath('../../../packages/event/dist/bin/sdrx-trace.js', import.meta.url);

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

const configuration = folder.join('greeter.json');
const configure = (text: unknown) => writeFileSync(configuration, JSON.stringify({ text }));
configure('hello');

/** What the programs are given on their command line. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  activate: [`--listen=${addressFor('activate')}`],
  reload: [configuration],
  'own-source': [socketOf('own-source')],
  trace: [folder.join('trace.json')],
  ...Object.fromEntries(
    ['README', 'serve', 'end', 'sleep-when-idle', 'restart'].map((page) => [page, [addressFor(page)]]),
  ),
};

/** Where the program of a page serves HTTP, instead of at a port that somebody may have. */
function addressFor(page: string): string {
  return `unix:${socketOf(page)}`;
}

function socketOf(page: string): string {
  return folder.join(`${page}.sock`);
}

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), 'utf8');
}

t.test('the programs that pages begin with compile, with all checks on', (t) => {
  t.ok(PAGES.includes('reload'));
  compilePages(folder, [...PAGES, 'simulate', 'simulate-2', 'simulate-3', 'log-2']);
  t.end();
});

for (const page of PAGES) {
  t.test(`the program of docs/${page}.md starts, says so, and ends by SIGTERM`, async (t) => {
    const manager = new ServiceManager(t);
    const environment = { NOTIFY_SOCKET: manager.notifySocket };
    const program = new PageProgram(t, folder, page, ARGUMENTS[page] ?? [], environment);
    await manager.waitFor(/^READY=1$/m);
    program.kill('SIGTERM');
    t.equal(await program.ended(), 0);
  });
}

t.test('that of docs/reload.md reads its file by SIGHUP and when it changes, and keeps what is right', async (t) => {
  const manager = new ServiceManager(t);
  const program = new PageProgram(t, folder, 'reload', [configuration], { NOTIFY_SOCKET: manager.notifySocket });
  await manager.waitFor(/^READY=1$/);
  await program.prints(/^greeting: hello\n$/);
  program.kill('SIGHUP');
  await program.prints(/^(greeting: hello\n){2}$/);
  configure('in place');
  await program.prints(/greeting: in place\n$/);
  configure(5);
  await program.prints(/the old one stays: TypeError: .*: text must be a string\n$/);
  await manager.waitFor(/^READY=1\nSTATUS=reload failed: .*: text must be a string$/);
  writeFileSync(folder.join('new'), '{ "text": "replaced" }');
  renameSync(folder.join('new'), configuration);
  await program.prints(/greeting: replaced\n$/);
  await manager.waitFor(/^READY=1\nSTATUS=reloaded$/);
  program.kill('SIGTERM');
  t.equal(await program.ended(), 0);
});

t.test('that of docs/restart.md counts on in another process', async (t) => {
  const manager = new ServiceManager(t);
  const place = { socketPath: socketOf('restart') };
  const program = new PageProgram(t, folder, 'restart', ARGUMENTS.restart ?? [], {
    NOTIFY_SOCKET: manager.notifySocket,
  });
  await manager.waitFor(/^READY=1$/);
  t.match(await ask(place, '/'), /^answer 1, by process \d+\n$/);
  program.kill('SIGHUP');
  const told = await manager.waitFor(/^MAINPID=\d+$/m);
  const pid = Number(/^MAINPID=(\d+)$/m.exec(told)?.[1]);
  t.equal(await ask(place, '/'), `answer 2, by process ${pid}\n`);
  process.kill(pid, 'SIGTERM');
  t.equal(await program.ended(), 0);
});

t.test('that of docs/end.md notes what it was asked for', async (t) => {
  const manager = new ServiceManager(t);
  const program = new PageProgram(t, folder, 'end', ARGUMENTS.end ?? [], { NOTIFY_SOCKET: manager.notifySocket });
  await manager.waitFor(/^READY=1$/);
  t.equal(await ask({ socketPath: socketOf('end') }, '/asked'), 'hello\n');
  program.kill('SIGTERM');
  t.equal(await program.ended(), 0);
  t.equal(readFileSync(folder.join('requests.log'), 'utf8'), '/asked\n');
});

t.test('that of docs/own-source.md prints what it is sent', async (t) => {
  const manager = new ServiceManager(t);
  const program = new PageProgram(t, folder, 'own-source', ARGUMENTS['own-source'] ?? [], {
    NOTIFY_SOCKET: manager.notifySocket,
  });
  await manager.waitFor(/^READY=1$/m);
  using sender = unixSocket(SOCK_DGRAM);
  for (const word of ['one', 'two']) sendMessage(sender.number, Buffer.from(word), { to: socketOf('own-source') });
  await program.prints(/^one\ntwo\n$/);
  program.kill('SIGTERM');
  t.equal(await program.ended(), 0);
});

t.test('that of docs/simulate.md prints what the page says, at once', async (t) => {
  const program = new PageProgram(t, folder, 'simulate', [], {});
  t.equal(await program.ended(), 0);
  const [, said = 'nothing'] = /^It takes milliseconds, and prints\n\n```\n(.*?)```$/ms.exec(page('simulate')) ?? [];
  await program.prints(new RegExp(`^${said}$`));
  const marbles = new PageProgram(t, folder, 'simulate-2', [], {});
  t.equal(await marbles.ended(), 0);
  t.equal(marbles.output, 'ended with 0\n');
  const managed = new PageProgram(t, folder, 'simulate-3', [], {});
  t.equal(await managed.ended(), 0);
  t.equal(managed.output, 'active at 65000\nSTOPPING at 3665000, then inactive\n');
});

t.test('that of docs/trace.md leaves a trace that can be drawn', async (t) => {
  const manager = new ServiceManager(t);
  const program = new PageProgram(t, folder, 'trace', ARGUMENTS.trace ?? [], { NOTIFY_SOCKET: manager.notifySocket });
  await manager.waitFor(/^READY=1$/m);
  program.kill('SIGTERM');
  t.equal(await program.ended(), 0);
  const { output, exit } = runNode([drawTrace, folder.join('trace.json')]);
  t.match(exit, { status: 0 });
  t.match(output, /^signal +-?\d+ +1 /m, 'it has the signal that ended it');
});

t.test('what docs/trace.md shows is what sdrx-trace draws', async (t) => {
  const trace = await traceOfPage(folder.path);
  const { output } = runNode([drawTrace, trace, '--width=100']);
  t.ok(page('trace').includes(`\n\`\`\`\n${output}\`\`\`\n`), output);
  runNode([drawTrace, trace, `--svg=${folder.join('trace.svg')}`]);
  const picture = readFileSync(new URL('../../../docs/trace.svg', import.meta.url), 'utf8');
  t.equal(picture, readFileSync(folder.join('trace.svg'), 'utf8'));
});

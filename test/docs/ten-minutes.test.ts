import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { listenInet } from '@sdrx/event';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { systemdRelease } from '../support/systemd-release.js';
import { patternOf, TenMinutes } from '../support/ten-minutes.js';
import { untilOr } from '../support/until.js';
import { root } from './markdown-pages.js';

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;

const port = freePort();
const page = new TenMinutes(port);

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());
const project = folder.join('greeter');

function freePort(): number {
  using socket = listenInet('127.0.0.1', 0);
  return socket.address.family === 'inet' ? socket.address.port : 0;
}

/** A program as it runs in a terminal: tap puts back the NODE_OPTIONS by which it has every Node load a module of its own. */
function spawnPlain(...command: readonly string[]): ChildProcess {
  return spawn('env', ['-u', 'NODE_OPTIONS', ...command], { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a command prints. */
async function run(command: string): Promise<string> {
  const child = spawnPlain('bash', '-c', command);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await once(child, 'close');
  return output;
}

/** Not found out by a connection, which systemd-socket-activate would take for a client. */
function isListening(): boolean {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
  return readFileSync('/proc/net/tcp', 'ascii').includes(address);
}

/** Starts what serves until it is asked to end. */
async function start(command: string): Promise<ChildProcess> {
  await untilOr(
    LIMIT,
    () => !isListening(),
    () => `${command}: another one listens still`,
    20,
  );
  const child = spawnPlain(...command.split(' '));
  t.teardown(() => child.kill('SIGKILL'));
  await untilOr(LIMIT, isListening, () => `${command} does not listen`, 20);
  return child;
}

/** @returns the exit code, or the signal */
async function interrupted(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  const [code, signal] = await ended;
  return code ?? signal;
}

/** The units, as this machine can look at them: as the page says, their type is too new for some. */
function writeUnits(): void {
  for (const name of ['greeter.socket', 'greeter.service']) {
    const unit = systemdRelease() < 253 ? page.file(name).replace('notify-reload', 'notify') : page.file(name);
    writeFileSync(`${project}/${name}`, unit.replace('/usr/bin/node', process.execPath));
  }
}

t.test('what docs/ten-minutes.md has one do brings what it says', async (t) => {
  mkdirSync(project);
  let server: ChildProcess | undefined;
  const done: string[] = [];
  t.teardown(() => run('npx sdrx-control ./control stop'));
  // What comes behind the look at the units needs a systemd that is process 1, and root: test/e2e/vm/ten-minutes.test.ts.
  const all = page.steps;
  const last = all.findIndex(({ command }) => command.startsWith('systemd-analyze'));
  for (const { command, shown } of all.slice(0, last + 1)) {
    const [program = ''] = command.split(' ');
    if (program.startsWith('systemd-') && !existsSync(`/usr/bin/${program}`)) {
      t.comment(`${program} is not installed here`);
      break;
    }
    done.push(program);
    if (command === 'mkdir greeter && cd greeter') continue;
    if (command === 'npm install @sdrx/event rxjs') {
      // What is installed is tested by test/package/tarball.test.ts.
      symlinkSync(`${root}/node_modules`, `${project}/node_modules`);
      writeFileSync(`${project}/greeter.js`, page.file('greeter.js'));
    } else if (program === 'node' || program === 'systemd-socket-activate') {
      if (server?.exitCode === null) t.equal(await interrupted(server), 0, 'Ctrl-C ends it');
      server = await start(command);
    } else {
      if (program === 'systemd-analyze') writeUnits();
      t.match(await run(command), patternOf(shown), command);
    }
  }
  if (server?.exitCode === null) t.equal(await interrupted(server), 0);
  t.strictSame([...new Set(done)].slice(0, 8), ['mkdir', 'npm', 'node', 'curl', 'npx', 'sed', 'cp', 'echo']);
  t.equal(done.filter((program) => program === 'node').length, 2);
});

import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { implement, parseInterface, serve, service, typescriptOf } from '@sdrx/varlink';
import { concat, from, Subject } from 'rxjs';
import t from 'tap';
import { journalAccess } from '#examples/journal-follow/journal-access.js';
import { line } from '#examples/journal-follow/line.js';
import { Folder } from '../support/folder.js';
import { passedSocket } from '../support/passed-socket.js';
import { programPath } from '../support/program-path.js';
import { inTestingSystemd, needsTestingSystemd, testingSystemd } from '../support/testing-systemd.js';
import { RunningExample } from './running-example.js';

const folder = programPath('../../../examples/journal-follow', import.meta.url);
const about = { vendor: 'sdrx', product: 'test', version: '1', url: 'https://example.org/' };

const entry = (second: number, message: unknown) => ({
  __REALTIME_TIMESTAMP: String(1_700_000_000_000_000 + second * 1_000_000),
  SYSLOG_IDENTIFIER: 'board',
  MESSAGE: message,
});

t.test("the declaration is varlink2ts's of the text beside it", (t) => {
  const syntax = parseInterface(readFileSync(`${folder}/io.systemd.JournalAccess.varlink`, 'utf8'));
  t.equal(readFileSync(`${folder}/journal-access.ts`, 'utf8'), typescriptOf(syntax));
  t.end();
});

t.test('a line has the time, who logged, and what', (t) => {
  const time = '2023-11-14T22:13:20.000Z';
  t.equal(line(entry(0, 'a note')), `${time} board: a note`);
  t.equal(line(entry(0, [104, 195, 164])), `${time} board: hä`);
  t.equal(line(entry(0, ['one', 'other'])), `${time} board: one other`);
  t.equal(line(entry(0, null)), `${time} board: (too long)`);
  t.equal(line({ __REALTIME_TIMESTAMP: '0', _COMM: 'x' }), '1970-01-01T00:00:00.000Z x: ');
  t.end();
});

t.test('it prints what there is, then what comes, until it is ended', async (t) => {
  const loop = new EventLoop();
  const finished = loop.run();
  const { path, fd } = passedSocket(t);
  const later = new Subject<{ entry: Record<string, unknown> }>();
  const asked: object[] = [];
  const handlers = implement(journalAccess, {
    GetEntries: (parameters, call) => {
      asked.push(parameters);
      if (parameters.units?.includes('none.service')) throw journalAccess.errors.NoMatches();
      for (const second of [1, 2]) call.notify({ entry: entry(second, `note ${second}`) });
      later.subscribe((reply) => call.notify(reply));
      return concat(from([]), later);
    },
  });
  const serving = serve(loop, service(about, handlers), fd.number).subscribe();
  const example = new RunningExample(t, 'journal-follow', { args: [`--journal=${path}`, '--lines=2', 'a.service'] });
  await example.prints(/board: note 2$/);
  later.next({ entry: entry(3, 'a later note') });
  await example.prints(/ board: a later note$/);
  t.match(asked, [{ units: ['a.service'], limit: 2, follow: true }]);
  example.kill('SIGINT');
  t.equal(await example.ended(), 0);

  const refused = new RunningExample(t, 'journal-follow', { args: [`--journal=${path}`, 'none.service'] });
  t.equal(await refused.ended(), 1);
  serving.unsubscribe();
  loop.exit();
  await finished;
});

/** Puts an entry into a journal of Debian testing's systemd, whose folder is /run/log/journal there. */
function log(runtime: string, machine: string, message: string): void {
  const now = Date.now() * 1000;
  const times = { __REALTIME_TIMESTAMP: now, __MONOTONIC_TIMESTAMP: now };
  const input = Object.entries({ ...entry(0, message), ...times, _BOOT_ID: machine, _MACHINE_ID: machine });
  const [file, ...args] = inTestingSystemd(
    runtime,
    '/usr/lib/systemd/systemd-journal-remote',
    `--output=/run/systemd/log/journal/${machine}/system.journal`,
    '-',
  );
  execFileSync(file, args, { input: `${input.map(([name, value]) => `${name}=${value}\n`).join('')}\n` });
}

t.test("it follows a real journal, by Debian testing's journalctl", needsTestingSystemd, async (t) => {
  using runtime = new Folder();
  const machine = readFileSync(`${testingSystemd}/etc/machine-id`, 'utf8').trim();
  mkdirSync(runtime.join('log', 'journal', machine), { recursive: true });
  const journalctl = runtime.join('journalctl');
  const command = inTestingSystemd(
    runtime.path,
    ...['sh', '-c', 'ln -s /run/systemd/log /run/log && exec journalctl --system'],
  );
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  writeFileSync(journalctl, `#!/bin/sh\nexec ${quoted.join(' ')}\n`);
  chmodSync(journalctl, 0o755);
  // systemd 262 leaves out the oldest entry of all.
  for (const message of ['the oldest', 'before']) log(runtime.path, machine, message);
  const example = new RunningExample(t, 'journal-follow', { args: [`--journal=exec:${journalctl}`] });
  await example.prints(/ board: before$/);
  log(runtime.path, machine, 'meanwhile');
  await example.prints(/ board: meanwhile$/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

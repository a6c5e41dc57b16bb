import { spawnSync } from 'node:child_process';
import { constants, readFileSync } from 'node:fs';
import { Journal, LOG_LEVELS } from '@sdrx/event';
import { openFile } from '@sdrx/linux';
import t from 'tap';
import { FakeJournal, textOf } from '../support/fake-journal.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { withEnvironment } from './environment.js';

const socket = `@sdrx-test-${process.pid}-journal`;
const toJournal = { target: 'journal', socket, identifier: 'door' } as const;

t.test(
  'each level is a method, and what is below the level is not logged, of children neither',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const journal = new Journal({ ...toJournal, level: 'debug' });
    LOG_LEVELS.forEach((level, priority) => {
      journal[level](`this is ${level}`);
      const fields = { MESSAGE: `this is ${level}`, PRIORITY: String(priority), SYSLOG_IDENTIFIER: 'door' };
      t.same(fake.takeText(), fields);
    });
    const child = journal.child({ DOOR: 'front' });
    journal.level = 'notice';
    t.equal(child.level, 'notice');
    child.info('not logged');
    t.equal(fake.read(), undefined);
    child.notice('logged');
    t.equal(fake.take().fields.length, 4);
    t.throws(
      () => {
        journal.level = 'loud' as 'debug';
      },
      { code: 'ERR_OUT_OF_RANGE' },
    );
  }),
);

t.test(
  'a message has the fields of its journal, of its child and its own, the last of a name',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const journal = new Journal({ ...toJournal, fields: { HOUSE: 'blue', DOOR: 'any' } });
    journal
      .child({ DOOR: 'front', COLOUR: 'green' })
      .child({ BELL: 1 })
      .info('rings', { BELL: 2, WHO: ['you', 'me'] });
    t.same(
      fake
        .take()
        .fields.slice(3)
        .map(([name, value]) => `${name}=${value}`),
      ['HOUSE=blue', 'DOOR=front', 'COLOUR=green', 'BELL=2', 'WHO=you', 'WHO=me'],
    );
  }),
);

t.test(
  'an error gives its message, its number, its stack and its causes',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const journal = new Journal(toJournal);
    let reason: unknown;
    try {
      openFile('/nowhere/at/all');
    } catch (error) {
      reason = error;
    }
    journal.err('no configuration', { error: new TypeError('not read', { cause: reason }) });
    const first = fake.takeText();
    t.equal(first.MESSAGE, 'no configuration: not read');
    t.equal(first.ERROR_NAME, 'TypeError');
    t.match(first.ERROR_STACK, /^TypeError: not read\n +at .*\ncaused by: SystemError: ENOENT: .*\n +at /s);
    journal.err('no configuration', { error: reason });
    const fields = fake.takeText();
    t.match(fields, { ERRNO: '2', ERROR_CODE: 'ENOENT', ERROR_SYSCALL: 'open', ERROR_NAME: 'SystemError' });
    // As Node's own modules have it, too.
    try {
      readFileSync('/nowhere/at/all');
    } catch (error) {
      journal.err('no configuration', { error });
    }
    t.match(fake.takeText(), {
      ERRNO: '2',
      ERROR_CODE: 'ENOENT',
      ERROR_PATH: '/nowhere/at/all',
    });
    for (const thrown of ['text', 5, null, Object.create(null), Symbol('s')]) journal.err('thrown', { error: thrown });
    t.equal(fake.takeText().MESSAGE, 'thrown: text');
    t.equal(fake.takeText().MESSAGE, 'thrown: 5');
    t.equal(fake.takeText().MESSAGE, 'thrown: null');
    t.match(fake.takeText().MESSAGE, /^thrown: \[Object: null prototype\] \{\}$/);
    t.equal(fake.takeText().MESSAGE, 'thrown: Symbol(s)');
  }),
);

t.test(
  'where it was logged is told, if that is wanted',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const journal = new Journal({ ...toJournal, location: true });
    const ring = function ring() {
      journal.info('rings');
    };
    ring();
    const { CODE_FILE, CODE_LINE, CODE_FUNC } = fake.takeText();
    t.match(CODE_FILE, /^\/.*test\/event\/journal\.test\.ts$/);
    const line = readFileSync(CODE_FILE ?? '', 'utf8').split('\n')[Number(CODE_LINE) - 1];
    t.equal(line?.trim(), "journal.info('rings');");
    t.equal(CODE_FUNC, 'ring');
  }),
);

t.test(
  'with DEBUG_INVOCATION everything is logged',
  leavingNothing((t) =>
    withEnvironment({ DEBUG_INVOCATION: '1' }, () => {
      t.equal(new Journal().level, 'debug');
      process.env.DEBUG_INVOCATION = '0';
      t.equal(new Journal().level, 'info');
    }),
  ),
);

t.test(
  'what is set already, and what is no field, is refused, whatever the level',
  leavingNothing((t) => {
    const journal = new Journal({ ...toJournal, level: 'emerg' });
    for (const name of ['MESSAGE', 'PRIORITY', 'SYSLOG_IDENTIFIER', 'lower']) {
      t.throws(() => journal.debug('x', { [name]: '1' }), { code: 'ERR_OUT_OF_RANGE' });
      t.throws(() => journal.child({ [name]: '1' }), { code: 'ERR_OUT_OF_RANGE' });
      t.throws(() => new Journal({ fields: { [name]: '1' } }), { code: 'ERR_OUT_OF_RANGE' });
    }
  }),
);

t.test(
  'what the journal has no room for comes later, in order, without anybody having waited',
  leavingNothing(async (t) => {
    using fake = new FakeJournal(socket);
    const journal = new Journal(toJournal);
    const count = 1000;
    for (let number = 0; number < count; number++) journal.info(`entry ${number}`);
    const received: string[] = [];
    await until(() => {
      for (let entry = fake.read(); entry !== undefined; entry = fake.read())
        received.push(textOf(entry).MESSAGE ?? '');
      return received.length === count;
    });
    t.same(
      received,
      Array.from({ length: count }, (_, number) => `entry ${number}`),
    );
  }),
);

const program = programPath('programs/log.js', import.meta.url);

interface Ran {
  readonly stderr: string;
  readonly status: number | null;
}

/** Runs the program that logs, with a file as its standard error, which takes everything. */
function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Ran {
  using folder = new Folder();
  const path = folder.join('stderr');
  using file = openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND);
  const { status } = spawnSync(process.execPath, [program, ...args], {
    env: { ...process.env, JOURNAL_STREAM: undefined, ...env },
    stdio: ['ignore', 'ignore', file.number],
  });
  return { stderr: readFileSync(path, 'utf8'), status };
}

t.test('by hand a program logs lines to its standard error, with the stack of an error', (t) => {
  const { stderr, status } = run(['auto', '@nobody', '1']);
  t.equal(status, 0);
  t.match(stderr, /^info: entry 0\nwarning: two\nlines \\x1b\[1m: TypeError: wrong\n {4}at .*caused by: text\n$/s);
  t.end();
});

t.test('without a journal each line has its level before it', (t) => {
  using folder = new Folder();
  const { stderr, status } = run(['journal', folder.join('socket'), '2']);
  t.equal(status, 0);
  const lines = stderr.trimEnd().split('\n');
  t.same(lines.slice(0, 4), ['<6>entry 0', '<6>entry 1', '<4>two', '<4>lines \\x1b[1m: TypeError: wrong']);
  t.ok(lines.slice(4).every((line) => line.startsWith('<4>')));
  t.end();
});

t.test('what waits for a journal when the process ends goes to the standard error, nothing is lost', (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  using fake = new FakeJournal(path);
  const { stderr, status } = run(['journal', path, '900', 'exit']);
  t.equal(status, 0);
  const taken: string[] = [];
  for (let entry = fake.read(); entry !== undefined; entry = fake.read()) taken.push(textOf(entry).MESSAGE ?? '');
  const printed = [...stderr.matchAll(/^<6>(entry \d+)$/gm)].map(([, text]) => text);
  t.ok(taken.length > 5 && printed.length > 5);
  t.same(
    [...taken, ...printed],
    Array.from({ length: 900 }, (_, number) => `entry ${number}`),
  );
  t.end();
});

t.test('no more than 1024 wait: those beyond go to the standard error at once', (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  using fake = new FakeJournal(path);
  const { stderr } = run(['journal', path, '3000', 'exit']);
  let taken = 0;
  while (fake.read() !== undefined) taken++;
  const printed = [...stderr.matchAll(/^<6>entry (\d+)$/gm)].map(([, number]) => Number(number));
  t.equal(taken + printed.length, 3000);
  t.equal(printed[0], taken + 1024, 'first those that there was no room for');
  t.end();
});

t.test('the journal is chosen if JOURNAL_STREAM is the standard error, and only then', (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  using fake = new FakeJournal(path);
  const { stderr } = run(['auto', path, '1'], { JOURNAL_STREAM: '1:1' });
  t.match(stderr, /^info: entry 0\n/);
  t.equal(fake.read(), undefined);
  const script = 'export JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)"; exec "$@"';
  const args = ['-c', script, 'sh', process.execPath, program, 'auto', path, '1'];
  const { stderr: printed } = spawnSync('sh', args, { encoding: 'utf8' });
  t.equal(printed, '');
  t.equal(fake.takeText().MESSAGE, 'entry 0');
  t.match(fake.takeText().MESSAGE, /^two\nlines /);
  t.end();
});

t.test('a journal that takes nothing for 5 s keeps nobody any longer', (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  using fake = new FakeJournal(path);
  const { stderr, status } = run(['journal', path, '900']);
  t.equal(status, 0, 'it has ended by itself');
  let taken = 0;
  while (fake.read() !== undefined) taken++;
  t.equal(taken + [...stderr.matchAll(/^<6>entry \d+$/gm)].length, 900);
  t.end();
});

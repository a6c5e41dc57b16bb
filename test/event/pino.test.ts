import { spawnSync } from 'node:child_process';
import { type PinoJournalOptions, pinoJournal } from '@sdrx/event/pino';
import { openFile } from '@sdrx/linux';
import { pino } from 'pino';
import t from 'tap';
import { FakeJournal } from '../support/fake-journal.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';

const socket = `@sdrx-test-${process.pid}-pino`;
const options: PinoJournalOptions = { target: 'journal', socket, identifier: 'door', fields: { HOUSE: 'blue' } };

t.test(
  'the levels of pino become those of the journal',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const log = pino({ level: 'trace', customLevels: { notice: 35 } }, pinoJournal(options));
    const levels = { fatal: 2, error: 3, warn: 4, notice: 5, info: 6, debug: 7, trace: 7 } as const;
    for (const [level, priority] of Object.entries(levels)) {
      log[level as keyof typeof levels](`this is ${level}`);
      const fields = {
        MESSAGE: `this is ${level}`,
        PRIORITY: String(priority),
        SYSLOG_IDENTIFIER: 'door',
        HOUSE: 'blue',
      };
      t.strictSame(fake.takeText(), fields);
    }
    const named = pino({ formatters: { level: (label) => ({ level: label }) } }, pinoJournal(options));
    named.error('by name');
    t.equal(fake.takeText().PRIORITY, '3');
  }),
);

t.test(
  'what a line has beside its message becomes fields, under names that the journal takes',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const log = pino(pinoJournal(options)).child({ requestId: 'r1', HOUSE: 'red' });
    log.info(
      { userId: 1000, 'content-type': 'a/b', _x: true, request: { path: '/' }, none: null, '': 1, '9': 2 },
      'served',
    );
    const { MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, ...fields } = fake.takeText();
    t.strictSame(fields, {
      HOUSE: 'red',
      REQUEST_ID: 'r1',
      USER_ID: '1000',
      CONTENT_TYPE: 'a/b',
      X: 'true',
      REQUEST: '{"path":"/"}',
    });
    log.info({ message: 'other', priority: 1, message_id: 'no UUID', [`k${'e'.repeat(100)}y`]: 1 }, 'odd');
    t.match(fake.takeText(), { MESSAGE: 'odd', PINO_MESSAGE: 'other', PINO_PRIORITY: '1', PINO_MESSAGE_ID: 'no UUID' });
    log.info({ messageId: '8d45620c-1a43-48db-b174-10da57c60c66' }, 'known');
    t.equal(fake.takeText().MESSAGE_ID, '8d45620c1a4348dbb17410da57c60c66');
  }),
);

t.test(
  'an error of pino is one of the journal',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const log = pino(pinoJournal(options));
    try {
      openFile('/nowhere/at/all');
    } catch (error) {
      log.error(error, 'no configuration');
      log.error(error);
    }
    const first = fake.takeText();
    t.match(first.MESSAGE, /^no configuration: ENOENT: /);
    t.match(first, { ERRNO: '2', ERROR_CODE: 'ENOENT', ERROR_SYSCALL: 'open', ERROR_NAME: 'SystemError' });
    t.match(first.ERROR_STACK, /^SystemError: ENOENT: .*\n +at /);
    t.match(fake.takeText().MESSAGE, /^ENOENT: /);
  }),
);

t.test(
  'lines come in any pieces, and what is no JSON is a message',
  leavingNothing((t) => {
    using fake = new FakeJournal(socket);
    const stream = pinoJournal({ ...options, messageKey: 'text', errorKey: 'e' });
    stream.write('{"level":40,"te');
    t.equal(fake.read(), undefined);
    stream.write('xt":"in pieces","e":{"message":"why"}}\nnot JSON\n[1]\n\n{"level":50,"text":5}');
    t.match(fake.takeText(), { MESSAGE: 'in pieces: why', PRIORITY: '4' });
    t.match(fake.takeText(), { MESSAGE: 'not JSON', PRIORITY: '6' });
    t.match(fake.takeText(), { MESSAGE: '[1]', PRIORITY: '6' });
    t.equal(fake.read(), undefined, 'an empty line is none');
    stream.end();
    t.match(fake.takeText(), { MESSAGE: '5', PRIORITY: '3' });
  }),
);

t.test(
  'wrong options are refused',
  leavingNothing((t) => {
    const wrong = [
      { messageKey: 5 },
      { errorKey: null },
      { fields: { lower: 1 } },
      { target: 'nowhere' },
      { socket: 5 },
    ];
    for (const given of wrong) t.throws(() => pinoJournal(given as object), { code: /^ERR_/ });
  }),
);

t.test('in a thread of pino.transport it logs under the name of the program', (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  using fake = new FakeJournal(path);
  const program = programPath('programs/log-by-pino.js', import.meta.url);
  const { status, stderr } = spawnSync(process.execPath, [program, path], { encoding: 'utf8' });
  t.equal(stderr, '');
  t.equal(status, 0);
  const entry = { MESSAGE: 'from a thread', PRIORITY: '4', DOOR: 'front', SYSLOG_IDENTIFIER: 'log-by-pino' };
  t.strictSame(fake.takeText(), entry);
  t.end();
});

import { EventEmitter } from 'node:events';
import { type JournalFields, type JournalValue, sendJournalEntry } from '@sdrx/event';
import fc from 'fast-check';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { FakeJournal } from '../support/fake-journal.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

const socket = `@sdrx-test-${process.pid}-entries`;

const FIRST = [...'ABCXYZ'];
const OTHERS = [...'ABCXYZ019_'];
const name = fc
  .tuple(fc.constantFrom(...FIRST), fc.string({ unit: fc.constantFrom(...OTHERS), maxLength: 63 }))
  .map((parts) => parts.join('') as Uppercase<string>)
  .filter((text) => text !== 'MESSAGE_ID');
/** Of which many have line breaks. */
const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('\n', '=', 'a', '\0') }));
const value = fc.oneof(text, fc.uint8Array(), fc.integer(), fc.bigInt(), fc.boolean(), fc.double());
const fields = fc.dictionary(name, fc.oneof(value, fc.array(value, { maxLength: 4 }), fc.constant(undefined)));

function asBytes(value: JournalValue): Buffer {
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value));
}

/** What has to be received, by an account of its own. */
function expected(given: JournalFields): [string, Buffer][] {
  return Object.entries(given).flatMap(([name, value]) => {
    const values = value === undefined ? [] : Array.isArray(value) ? value : [value];
    return values.map((item): [string, Buffer] => [name, asBytes(item)]);
  });
}

t.test(
  'whatever fields hold, the journal gets it, byte by byte and in order',
  leavingNothing((t) => {
    using journal = new FakeJournal(socket);
    const property = fc.property(fields, (given) => {
      sendJournalEntry(given, { socket });
      t.same(journal.read(), { fields: expected(given), byFile: false });
      return t.passing();
    });
    fc.assert(property, { numRuns: 500 });
  }),
);

t.test(
  'an entry that no datagram can have goes as a sealed file',
  leavingNothing((t) => {
    using journal = new FakeJournal(socket);
    const much = Buffer.alloc(3 * 1024 * 1024, 'lines\n');
    sendJournalEntry({ MESSAGE: 'see', DUMP: much, AFTER: 1 }, { socket });
    const received = journal.read();
    t.ok(received?.byFile);
    t.same(received?.fields, [
      ['MESSAGE', Buffer.from('see')],
      ['DUMP', much],
      ['AFTER', Buffer.from('1')],
    ]);
    t.equal(journal.read(), undefined);
  }),
);

t.test(
  'a MESSAGE_ID gets the form in which it is looked for',
  leavingNothing((t) => {
    using journal = new FakeJournal(socket);
    const form = '8d45620c1a4348dbb17410da57c60c66';
    for (const id of [form, form.toUpperCase(), '8d45620c-1a43-48db-b174-10da57c60c66']) {
      sendJournalEntry({ MESSAGE_ID: id }, { socket });
      t.same(journal.takeText(), { MESSAGE_ID: form });
    }
  }),
);

const WRONG: Readonly<Record<string, object>> = {
  'a name that is empty': { '': 1 },
  'one that only the journal may set': { _PID: 1 },
  'one that begins with a digit': { '2ND': 1 },
  'one with small letters': { Name: 1 },
  'one with a line break': { 'A\nB': 1 },
  'one with an equals sign': { 'A=B': 1 },
  'one of more than 64 characters': { ['A'.repeat(65)]: 1 },
  'a MESSAGE_ID that is no UUID': { MESSAGE_ID: 'greeting' },
  'one with dashes in the wrong places': { MESSAGE_ID: '8d45-620c1a4348dbb17410da57c60c66' },
  null: { FIELD: null },
  'an object': { FIELD: new EventEmitter() },
  'a list in a list': { FIELD: [['a']] },
  'more fields than systemd takes': { FIELD: new Array(1001).fill('x') },
};

for (const [what, wrong] of Object.entries(WRONG)) {
  t.test(
    `${what} is refused, and nothing is sent`,
    leavingNothing((t) => {
      using journal = new FakeJournal(socket);
      t.throws(() => sendJournalEntry(wrong as JournalFields, { socket }), {
        code: /^ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)$/,
      });
      t.equal(journal.read(), undefined);
    }),
  );
}

t.test(
  'a name may have 64 characters, and an entry 1000 fields',
  leavingNothing((t) => {
    using journal = new FakeJournal(socket);
    const longest = 'A'.repeat(64) as Uppercase<string>;
    sendJournalEntry({ [longest]: new Array(1000).fill('x') }, { socket });
    t.equal(journal.read()?.fields.length, 1000);
  }),
);

t.test(
  'without a journal, and when it has no room, that is an error',
  leavingNothing((t) => {
    using folder = new Folder();
    const path = folder.join('socket');
    t.equal(
      errorCode(() => sendJournalEntry({ MESSAGE: 'x' }, { socket: path })),
      'ENOENT',
    );
    using _journal = new FakeJournal(path);
    const fill = () => {
      for (;;) sendJournalEntry({ MESSAGE: 'x' }, { socket: path });
    };
    t.equal(errorCode(fill), 'EAGAIN');
    _journal[Symbol.dispose]();
    t.equal(
      errorCode(() => sendJournalEntry({ MESSAGE: 'x' }, { socket: path })),
      'ECONNREFUSED',
    );
  }),
);

import { logKind, logText, MessageRate } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

const ESCAPED: readonly (readonly [what: string, text: string, escaped: string])[] = [
  ['plain text', "worker 5 failed: ENOENT, open '/a b'", "worker 5 failed: ENOENT, open '/a b'"],
  ['letters of all kinds', 'naïve 名前 🙂', 'naïve 名前 🙂'],
  ['an escape sequence', '\x1b[2Jgone', '\\x1b[2Jgone'],
  ['a carriage return', 'name\rforged', 'name\\x0dforged'],
  ['a bell, a tab, a NUL', '\x07\t\0', '\\x07\\x09\\x00'],
  ['DEL and control characters of eight bits', '\x7f\x9b31m', '\\x7f\\x9b31m'],
  ['line ends', 'a\nb\u2028c\x85d', 'a b\\u2028c\\x85d'],
  ['turned direction', 'a\u202ecod.exe', 'a\\u202ecod.exe'],
  ['half a character', 'a\ud83d', 'a\\ud83d'],
];
for (const [what, text, escaped] of ESCAPED) {
  t.test(`${what} is logged as '${escaped}'`, async (t) => {
    t.equal(logText(text), escaped);
  });
}

t.test('whatever comes in, one line of limited length in valid UTF-8 comes out', async () => {
  const anything = fc.oneof(fc.string({ unit: 'binary', maxLength: 3000 }), fc.string({ maxLength: 3000 }));
  fc.assert(
    fc.property(anything, (text) => {
      const line = Buffer.from(logText(text));
      return line.length < 4000 * 4 && !/\p{Cc}/u.test(line.toString()) && line.toString() === logText(text);
    }),
  );
});

t.test('messages are of one kind if they differ in numbers and in what is quoted only', async (t) => {
  t.equal(logKind("worker 12 failed: ENOENT, open 'a'"), logKind("worker 7 failed: ENOENT, open 'b c'"));
  t.not(logKind('worker 12 failed'), logKind('worker 12 ended'));
});

t.test('so many messages of a kind pass, the others are counted', async (t) => {
  const rate = new MessageRate(1000, 3);
  const passed = Array.from({ length: 10 }, (_, index) => rate.take('kind', `message ${index}`, 100 + index));
  t.strictSame(passed, [true, true, true, false, false, false, false, false, false, false]);
  t.equal(rate.take('other', 'other', 110), true);
  t.strictSame(rate.ended(1099), []);
  t.strictSame(rate.ended(1100), [{ count: 7, example: 'message 3' }]);
  t.equal(rate.take('kind', 'again', 1101), true);
  t.strictSame(rate.ended(5000), [], 'of kinds of which none was suppressed nothing is said');
});

t.test('kinds without number count as one, so that they take no memory', async (t) => {
  const rate = new MessageRate(1000, 3);
  let passed = 0;
  for (let kind = 0; kind < 10_000; kind++) if (rate.take(`kind ${kind}`, 'message', 0)) passed++;
  t.equal(passed, 256 + 3, 'each of the first ones, and three of all others');
});

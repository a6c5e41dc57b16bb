import { MessageScanner, TOO_DEEP, TOO_LONG, UNFINISHED } from '@sdrx/varlink';
import fc from 'fast-check';
import t from 'tap';

const LONG = 1 << 20;

/** What a scanner says of bytes that come in these pieces: the NUL's place in all, or why not. */
function scan(bytes: Buffer, cuts: readonly number[], messageSize = LONG, messageDepth = 64): number {
  const scanner = new MessageScanner({ messageSize, messageDepth });
  const places = [0, ...cuts, bytes.length];
  for (const [index, start] of places.entries()) {
    const end = places[index + 1];
    if (end === undefined) break;
    const found = scanner.scan(bytes, start, end);
    if (found !== UNFINISHED) return found;
  }
  return UNFINISHED;
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

const json = fc.oneof(fc.jsonValue({ maxDepth: 8 }), fc.string({ unit: 'binary' }), fc.constant('\\"{[\\'));
const spaced = fc
  .tuple(json, fc.constantFrom(undefined, 1, '\t'))
  .map(([value, space]) => JSON.stringify(value, null, space));

t.test('a message ends at its NUL, however it is cut in two', (t) => {
  fc.assert(
    fc.property(spaced, (text) => {
      const bytes = Buffer.from(`${text}\0more`);
      for (let cut = 0; cut <= bytes.length; cut++) t.equal(scan(bytes, [cut]), bytes.indexOf(0));
    }),
    { numRuns: 100 },
  );
  t.end();
});

t.test('it is cut byte by byte, too', (t) => {
  fc.assert(
    fc.property(spaced, (text) => {
      const bytes = Buffer.from(`${text}\0`);
      t.equal(scan(bytes, [...bytes.keys()]), bytes.length - 1);
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('it is as deep as JSON.parse finds it, at every cut; one level less is too deep', (t) => {
  fc.assert(
    fc.property(spaced, (text) => {
      const depth = depthOf(JSON.parse(text));
      const bytes = Buffer.from(`${text}\0`);
      for (let cut = 0; cut <= bytes.length; cut++) {
        t.equal(scan(bytes, [cut], LONG, depth), bytes.length - 1);
        if (depth > 0) t.equal(scan(bytes, [cut], LONG, depth - 1), TOO_DEEP);
      }
    }),
    { numRuns: 100 },
  );
  t.end();
});

t.test('what JSON.parse takes of any text is never deeper than the scanner saw', (t) => {
  const token = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    ':',
    ',',
    '1',
    'true',
    ' ',
    '\\"',
    '\\\\',
    '"a":',
    'ä',
    '\n',
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 40 }), (tokens) => {
      const text = tokens.join('');
      const bytes = Buffer.from(`${text}\0`);
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        return;
      }
      t.equal(scan(bytes, [], LONG, Math.max(depthOf(value), 1)), bytes.length - 1);
    }),
    { numRuns: 20_000 },
  );
  t.end();
});

t.test('a message of exactly the size passes, of one byte more it does not, at every cut and without its end', (t) => {
  const bytes = Buffer.from(`${JSON.stringify({ method: 'a.b' })}\0`);
  for (let cut = 0; cut <= bytes.length; cut++) {
    t.equal(scan(bytes, [cut], bytes.length), bytes.length - 1);
    t.equal(scan(bytes, [cut], bytes.length - 1), TOO_LONG);
    t.equal(scan(bytes.subarray(0, -1), [Math.min(cut, bytes.length - 1)], bytes.length - 1), TOO_LONG);
  }
  t.end();
});

t.test('after a message the next one begins anew', (t) => {
  fc.assert(
    fc.property(fc.array(spaced, { minLength: 2, maxLength: 5 }), fc.nat(), (texts, place) => {
      const bytes = Buffer.from(texts.map((text) => `${text}\0`).join(''));
      const cut = place % bytes.length;
      const scanner = new MessageScanner({ messageSize: LONG, messageDepth: 64 });
      const ends: number[] = [];
      for (const [start, end] of [
        [0, cut],
        [cut, bytes.length],
      ] as const) {
        for (let at = start; at < end; ) {
          const found = scanner.scan(bytes, at, end);
          if (found < 0) break;
          ends.push(found);
          at = found + 1;
        }
      }
      t.same(
        ends,
        [...bytes.keys()].filter((index) => bytes[index] === 0),
      );
    }),
    { numRuns: 500 },
  );
  t.end();
});

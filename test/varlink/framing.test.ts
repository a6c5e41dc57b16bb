import fc from 'fast-check';
import t from 'tap';
import { call, exampleService } from './example.js';
import { frame, turn, withServer } from './fixture.js';

t.test('any split of any sequence of calls gives the same replies, in order', (t) =>
  withServer(exampleService(), async (fixture) => {
    const texts = fc.array(fc.string({ unit: 'grapheme', maxLength: 60 }), { minLength: 1, maxLength: 12 });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(texts, cuts, async (texts, cuts) => {
        using client = fixture.raw();
        const bytes = frame(...texts.map((text) => call('Echo', { text })));
        const places = [0, ...cuts.map((cut) => Math.floor(cut * bytes.length)).sort((a, b) => a - b), bytes.length];
        for (const [index, place] of places.entries()) {
          const piece = bytes.subarray(place, places[index + 1]);
          if (piece.length === 0) continue;
          client.sendBytes(piece);
          // Some pieces are received one by one, others together.
          if (index % 3 !== 0) await turn();
        }
        const replies = await client.replies(texts.length);
        t.same(
          replies,
          texts.map((text) => ({ parameters: { text } })),
        );
      }),
      { numRuns: 60 },
    );
  }),
);

t.test('a call sent byte by byte is understood, also when a character is cut', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    for (const byte of frame(call('Echo', { text: 'täst 🙂' }))) {
      client.sendBytes(Buffer.of(byte));
      await turn();
    }
    t.same(await client.replies(1), [{ parameters: { text: 'täst 🙂' } }]);
  }),
);

t.test('thousands of calls in a row are answered in order', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    const numbers = Array.from({ length: 1000 }, (_, number) => number);
    for (let round = 0; round < 5; round++) {
      client.send(...numbers.map((number) => call('Echo', { text: 'x', number })));
      const replies = await client.replies(1000);
      t.same(
        replies,
        numbers.map((number) => ({ parameters: { text: 'x', number } })),
      );
    }
  }),
);

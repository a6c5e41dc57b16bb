import { findVerb, graph } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

const BARS = '▁▂▃▄▅▆▇█';

t.test(
  'a graph is as wide as it is told, has its last value at the right, and its highest where the greatest is',
  async () => {
    const value = fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined });
    fc.assert(
      fc.property(fc.array(value), fc.integer({ min: 1, max: 200 }), (values, width) => {
        const drawn = graph(values, width);
        const shown = values.slice(-width);
        const most = Math.max(0, ...shown.map((shown) => shown ?? 0));
        if (drawn.length !== width) return false;
        return shown.every((value, index) => {
          const bar = drawn[width - shown.length + index] ?? '';
          if (value === undefined) return bar === ' ';
          return most > 0 && value === most ? bar === '█' : BARS.includes(bar);
        });
      }),
    );
  },
);

t.test('a graph without room is nothing', async (t) => {
  t.equal(graph([1, 2], 0), '');
  t.equal(graph([0, 0], 3), ' ▁▁');
});

t.test('a command is the first word that is no option, and all else are its arguments, in their order', async () => {
  const option = fc.string().map((text) => `-${text}`);
  const word = fc.string().filter((text) => !text.startsWith('-'));
  fc.assert(
    fc.property(fc.array(option), word, fc.array(fc.oneof(option, word)), (before, verb, after) => {
      const found = findVerb([...before, verb, ...after]);
      return found.verb === verb && JSON.stringify(found.args) === JSON.stringify([...before, ...after]);
    }),
  );
  fc.assert(fc.property(fc.array(option), (words) => findVerb(words).verb === undefined));
});

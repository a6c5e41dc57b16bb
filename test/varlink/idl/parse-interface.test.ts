import assert from 'node:assert/strict';
import { type InterfaceSyntax, InterfaceSyntaxError, parseInterface, printInterface } from '@sdrx/varlink';
import fc from 'fast-check';
import t from 'tap';
import { arbitraryInterface } from './arbitrary-interface.js';

t.test('a text is read with all that it says', (t) => {
  const read = parseInterface(`# A licence, perhaps

# Where one is,
#   and whither.
interface org.example.map1

# Not of Point, as a line is empty below it.

type Point(x: int, y: ?float) # also of nothing below

# A colour
type Colour (
  # as blood
  red,
  dark-green
)

# Moves.
# [Supports 'more' flag]
method Move(by: []Point, to: [string](name: string, hue: Colour), how: ?(fast, slow)) -> (
  # What came of it
  found: ?[]?Point,
  rest: any
)
method Nothing()->()
error TooFar (most: object)
error Plain ()`);
  const point = { kind: 'named', name: 'Point' } as const;
  t.strictSame(read, {
    name: 'org.example.map1',
    description: 'Where one is,\n  and whither.',
    members: [
      {
        kind: 'type',
        name: 'Point',
        description: undefined,
        definition: {
          kind: 'struct',
          fields: [
            { name: 'x', description: undefined, type: { kind: 'int' } },
            { name: 'y', description: undefined, type: { kind: 'nullable', of: { kind: 'float' } } },
          ],
        },
      },
      {
        kind: 'type',
        name: 'Colour',
        description: 'A colour',
        definition: {
          kind: 'enum',
          values: [
            { name: 'red', description: 'as blood' },
            { name: 'dark-green', description: undefined },
          ],
        },
      },
      {
        kind: 'method',
        name: 'Move',
        description: 'Moves.',
        more: true,
        parameters: {
          kind: 'struct',
          fields: [
            { name: 'by', description: undefined, type: { kind: 'array', of: point } },
            {
              name: 'to',
              description: undefined,
              type: {
                kind: 'map',
                of: {
                  kind: 'struct',
                  fields: [
                    { name: 'name', description: undefined, type: { kind: 'string' } },
                    { name: 'hue', description: undefined, type: { kind: 'named', name: 'Colour' } },
                  ],
                },
              },
            },
            {
              name: 'how',
              description: undefined,
              type: {
                kind: 'nullable',
                of: {
                  kind: 'enum',
                  values: [
                    { name: 'fast', description: undefined },
                    { name: 'slow', description: undefined },
                  ],
                },
              },
            },
          ],
        },
        reply: {
          kind: 'struct',
          fields: [
            {
              name: 'found',
              description: 'What came of it',
              type: { kind: 'nullable', of: { kind: 'array', of: { kind: 'nullable', of: point } } },
            },
            { name: 'rest', description: undefined, type: { kind: 'any' } },
          ],
        },
      },
      {
        kind: 'method',
        name: 'Nothing',
        description: undefined,
        parameters: { kind: 'struct', fields: [] },
        reply: { kind: 'struct', fields: [] },
      },
      {
        kind: 'error',
        name: 'TooFar',
        description: undefined,
        fields: { kind: 'struct', fields: [{ name: 'most', description: undefined, type: { kind: 'object' } }] },
      },
      { kind: 'error', name: 'Plain', description: undefined, fields: { kind: 'struct', fields: [] } },
    ],
  });
  t.end();
});

/** What an interface is like whether a member that is undefined is there or not. */
function plain(syntax: InterfaceSyntax): unknown {
  return JSON.parse(JSON.stringify(syntax));
}

t.test('what is printed is read as the same again', (t) => {
  fc.assert(
    fc.property(arbitraryInterface, (syntax) => {
      const text = printInterface(syntax);
      assert.deepEqual(plain(parseInterface(text)), plain(syntax));
      assert.equal(printInterface(parseInterface(text)), text);
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('lines may end as on any system, and words may stand as close or as far as they like', (t) => {
  const text = 'interface a.b\n# one\n# two\ntype P (x: int, y: [string]?bool)\n';
  const expected = plain(parseInterface(text));
  for (const end of ['\r\n', '\r', '\u2028', '\u2029'])
    t.strictSame(plain(parseInterface(text.replaceAll('\n', end))), expected, `U+${end.charCodeAt(0).toString(16)}`);
  t.strictSame(plain(parseInterface('interface a.b # x\n# one\n# two\ntype P(x:int,y:[string]?bool)')), expected);
  t.strictSame(
    plain(
      parseInterface('interface\t a.b\n\n\n# one\n\t# two\n  type\nP\n(\n\nx\n: int\n,\ny : [string] ?\nbool )\n\n'),
    ),
    expected,
  );
  t.end();
});

/** A text that is no interface, and what is said of it. */
const wrong: [string, string, string][] = [
  ['nothing', '', "line 1, column 1: expected 'interface', not the end"],
  ['another word', 'interfaces a.b', "line 1, column 1: expected 'interface', not 'interfaces'"],
  ['no name', 'interface', 'line 1, column 10: expected a name, not the end'],
  ['a wrong name', 'interface ab', "line 1, column 11: 'ab' is no valid name of a varlink interface"],
  [
    'a member of no kind',
    'interface a.b\nTYPE X ()',
    "line 2, column 1: expected 'type', 'method' or 'error', not 'TYPE'",
  ],
  [
    'a member in lower case',
    'interface a.b\ntype x ()',
    "line 2, column 6: 'x' is no valid name of a varlink type, method or error",
  ],
  ['a member twice', 'interface a.b\ntype X ()\nerror X ()', "line 3, column 7: 'X' is declared twice"],
  ['a field twice', 'interface a.b\ntype X (a: int, a: int)', "line 2, column 17: 'a' is declared twice"],
  ['a value twice', 'interface a.b\ntype X (a, a)', "line 2, column 12: 'a' is declared twice"],
  [
    'a field with a dash',
    'interface a.b\ntype X (a-b: int)',
    "line 2, column 9: 'a-b' is no valid name of a varlink field",
  ],
  [
    'a value that ends with a dash',
    'interface a.b\ntype X (a-)',
    "line 2, column 9: 'a-' is no valid name of a varlink enum value",
  ],
  ['an unknown type', 'interface a.b\ntype X (a: uint)', "line 2, column 12: expected a type, not 'uint'"],
  ['no type', 'interface a.b\ntype X (a: )', "line 2, column 12: expected a type, not ')'"],
  ['two question marks', 'interface a.b\ntype X (a: ??int)', "line 2, column 12: '??' is no type"],
  ['a value among fields', 'interface a.b\ntype X (a: int, b)', "line 2, column 18: expected ':', not ')'"],
  ['a field among values', 'interface a.b\ntype X (a, b: int)', "line 2, column 13: expected ',' or ')', not ':'"],
  ['values as parameters', 'interface a.b\nmethod X(a) -> ()', 'line 2, column 9: fields need types'],
  ['no reply', 'interface a.b\nmethod X()', "line 2, column 11: expected '->', not the end"],
  ['a comma too many', 'interface a.b\ntype X (a: int,)', "line 2, column 16: expected a name, not ')'"],
  ['no end', 'interface a.b\ntype X (a: int', "line 2, column 15: expected ',' or ')', not the end"],
  ['a sign that means nothing', 'interface a.b\r\ntype X {a: int}', "line 2, column 8: unexpected '{'"],
  ['a character beyond 16 bits', 'interface a.b\n🐟', "line 2, column 1: unexpected '🐟'"],
  ['a dictionary by number', 'interface a.b\ntype X (a: [int]int)', "line 2, column 12: unexpected '['"],
  [
    'types too deep',
    `interface a.b\ntype X (a: ${'[]'.repeat(64)}int)`,
    'line 2, column 140: types nested more than 64 deep',
  ],
];

for (const [what, text, message] of wrong) {
  t.test(`an error says where: ${what}`, (t) => {
    t.throws(() => parseInterface(text), { name: 'InterfaceSyntaxError', message });
    t.end();
  });
}

t.test('whatever the text is, it is read or refused, soon', (t) => {
  const word = fc.constantFrom(
    'interface',
    'type',
    'method',
    'error',
    'a.b',
    'X',
    'x',
    'int',
    '?',
    '[]',
    '[string]',
    '->',
  );
  const sign = fc.constantFrom('(', ')', ',', ':', '#', '\n', '\r\n', ' ', '-', '{', '\0', '🐟');
  fc.assert(
    fc.property(fc.array(fc.oneof(word, sign, fc.string()), { maxLength: 40 }), (parts) => {
      try {
        parseInterface(parts.join(''));
      } catch (error) {
        const isTold = error instanceof InterfaceSyntaxError || error instanceof TypeError;
        if (!isTold) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  t.throws(() => parseInterface(`interface a.b\ntype X (a: ${'('.repeat(1_000_000)}`), InterfaceSyntaxError);
  t.throws(
    () => parseInterface(`interface a.b\n${'#\n'.repeat(500_000)}${'a-'.repeat(500_000)}`),
    InterfaceSyntaxError,
  );
  t.end();
});

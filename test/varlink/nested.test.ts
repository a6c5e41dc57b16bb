import {
  field,
  implement,
  int,
  nullable,
  optional,
  ProtocolError,
  struct,
  type VarlinkClient,
  varlinkInterface,
} from '@sdrx/varlink';
import * as io from 'io-ts';
import t from 'tap';
import { answeredWith } from './answered-with.js';
import { withServer } from './fixture.js';

const Point = struct({ x: field(int), y: field(int) });

/** Structs within each other in every way there is. */
const Outer = struct({
  point: optional(Point),
  list: optional(io.array(Point)),
  map: optional(io.record(io.string, Point)),
  maybe: optional(io.array(nullable(Point))),
  lists: optional(io.array(io.array(struct({ deep: field(Point) })))),
});

export interface Tree {
  readonly value: number;
  readonly children?: Tree[] | undefined;
}
const Tree: io.Type<Tree> = io.recursion('Tree', (self) =>
  struct({ value: field(io.number), children: optional(io.array(self)) }),
);

const nested = varlinkInterface({
  name: 'org.example.nested',
  types: { Tree: { codec: Tree } },
  methods: {
    Echo: {
      parameters: { outer: optional(Outer), tree: optional(Tree) },
      reply: { outer: optional(Outer), tree: optional(Tree) },
    },
  },
});

const { Echo } = nested.methods;

const point = { x: 1, y: 2 };

/** Where a struct may be, and one that has a field too many there. */
const places: [string, object][] = [
  ['a struct in a struct', { outer: { point: { ...point, z: 3 } } }],
  ['the outer struct', { outer: { point, extra: null } }],
  ['a struct in a list', { outer: { list: [point, { ...point, z: { deep: true } }] } }],
  ['a struct in a map', { outer: { map: { here: { ...point, z: [] } } } }],
  ['a struct that may be null', { outer: { maybe: [null, { ...point, z: 3 }] } }],
  ['a struct in a struct in lists', { outer: { lists: [[], [{ deep: { ...point, z: 3 } }]] } }],
  [
    'a struct that contains itself',
    { tree: { value: 1, children: [{ value: 2, children: [{ value: 3, extra: 1 }] }] } },
  ],
];

for (const [where, values] of places) {
  t.test(`a field that a newer service adds to ${where} is let through in a reply`, async (t) => {
    const answer = await answeredWith(`${JSON.stringify({ parameters: values })}\0`, (client) => client.call(Echo, {}));
    t.strictSame((answer as { parameters: unknown }).parameters, values);
  });

  t.test(`a field too many in ${where} is refused in parameters`, (t) =>
    withServer([implement(nested, { Echo: (parameters) => parameters })], async (fixture) => {
      const client = fixture.raw();
      client.send({ method: Echo.name, parameters: values });
      const [parameter] = Object.keys(values);
      t.same(await client.replies(1), [{ error: 'org.varlink.service.InvalidParameter', parameters: { parameter } }]);
      // A client of ours knows that it would be.
      await t.rejects(fixture.client().call(Echo, values as never), { name: 'TypeError', message: `\`${parameter}\`` });
    }),
  );
}

t.test('a field that is missing or wrong within a struct of a reply fails the call all the same', async (t) => {
  const ask = (client: VarlinkClient) => client.call(Echo, {});
  for (const wrong of [
    { outer: { point: { x: 1, z: 1 } } },
    { outer: { lists: [[{ deep: { x: 1, y: '2' } }]] } },
    { tree: { value: 1, children: [{ value: 'x' }] } },
  ]) {
    const answer = await answeredWith(`${JSON.stringify({ parameters: wrong })}\0`, ask);
    t.type(answer, ProtocolError, JSON.stringify(wrong));
  }
});

t.test('what is within structs is the same after it went both ways', (t) =>
  withServer([implement(nested, { Echo: (parameters) => parameters })], async (fixture) => {
    const tree: Tree = { value: 0.5, children: [{ value: 1e20, children: [] }, { value: -1 }] };
    const values = {
      outer: { point, list: [point], map: { a: point }, maybe: [null, point], lists: [[{ deep: point }]] },
      tree,
    };
    t.strictSame((await fixture.client().call(Echo, values)).parameters, values);
  }),
);

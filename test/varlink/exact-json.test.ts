import { ProtocolError } from '@sdrx/varlink';
import fc from 'fast-check';
import { NEVER, Observable } from 'rxjs';
import t from 'tap';
import { answeredWith } from './answered-with.js';
import { call, example, exampleService } from './example.js';
import { type RawClient, until, withServer } from './fixture.js';

const { methods, errors } = example;

/** JSON as a text would have it: a bigint is an integer, and an object a list of its members. */
type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly Json[]
  | { readonly members: readonly [string, Json][] };

const text = fc.string({ unit: 'grapheme-composite' }).filter((value) => !value.includes('\0'));
const key = fc
  .oneof(fc.constantFrom('__proto__', 'constructor', ':', '"', '\\', '\x7f'), text)
  .map((name) => `${name}k`);
const large = fc
  .bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n })
  .filter((value) => !Number.isSafeInteger(Number(value)));
const float = fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => (value === 0 ? 0 : value));

const json: fc.Arbitrary<Json> = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(text, fc.maxSafeInteger(), large, float, fc.boolean(), fc.constant(null)),
    fc.array(tie('json'), { maxLength: 4 }),
    fc
      .uniqueArray(fc.tuple(key, tie('json')), { maxLength: 4, selector: ([name]) => name })
      .map((members) => ({ members })),
  ),
})).json;

/** How JSON.stringify writes it, but for bigints; and with `spelled`, every character by its code, and white space around. */
function write(value: Json, spelled = false): string {
  const space = spelled ? '\t\n\r ' : '';
  if (typeof value === 'string')
    return spelled ? `"${escaped(value)}"` : JSON.stringify(value).replaceAll('\x7f', '\\u007f');
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if ('members' in value) {
    const members = value.members.map(
      ([name, member]) => `${space}${write(name, spelled)}${space}:${space}${write(member, spelled)}`,
    );
    return `{${members.join(`${space},`)}${space}}`;
  }
  return `[${space}${value.map((element) => write(element, spelled)).join(`${space},${space}`)}${space}]`;
}

function escaped(value: string): string {
  return Array.from({ length: value.length }, (_, index) => value.charCodeAt(index))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('');
}

/** What the service says to be given `thing`, as a text. */
async function mirror(client: RawClient, thing: string): Promise<string> {
  client.send(`{"method":"org.example.test.Mirror","parameters":{"thing":${thing}}}`);
  await until('the reply', () => client.messages.length > 0 || client.closed);
  return client.messages.shift() ?? 'closed';
}

t.test('what is in an object comes and goes unchanged, however it is written', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    await fc.assert(
      fc.asyncProperty(json, async (value) => {
        const thing: Json = { members: [['value', value]] };
        const reply = `{"parameters":{"thing":${write(thing)}}}`;
        t.equal(await mirror(client, write(thing)), reply);
        t.equal(await mirror(client, write(thing, true)), reply);
      }),
      { numRuns: 300 },
    );
  }),
);

t.test('integers of 64 bits are bigints in an object, for handlers and for clients; smaller ones are numbers', (t) => {
  const thing = {
    largest: 2n ** 64n - 1n,
    smallest: -(2n ** 63n),
    beyond: 2n ** 53n,
    within: [2 ** 53 - 1, -(2 ** 53) + 1],
  };
  let seen: unknown;
  const service = exampleService({
    Mirror: ({ thing }) => {
      seen = thing;
      return { thing };
    },
  });
  return withServer(service, async (fixture) => {
    const { parameters } = await fixture.client().call(methods.Mirror, { thing });
    t.strictSame(parameters.thing, thing);
    t.strictSame(seen, thing);
  });
});

t.test('a number that is an integer beyond 2⁵³ goes out with all its digits', (t) => {
  const service = exampleService({
    Mirror: () => ({ thing: { a: 2 ** 60, b: [-(2 ** 63)], c: 2 ** 64, d: 1e21, e: -(2 ** 64) }, ratio: 2 ** 55 }),
  });
  return withServer(service, async (fixture) => {
    const digits =
      '{"a":1152921504606846976,"b":[-9223372036854775808],"c":18446744073709552000,"d":1e+21,"e":-18446744073709552000}';
    t.equal(await mirror(fixture.raw(), '{}'), `{"parameters":{"thing":${digits},"ratio":36028797018963968}}`);
  });
});

t.test('that a program gave bigints a text form does not make texts of them', (t) => {
  const before = Object.getOwnPropertyDescriptor(BigInt.prototype, 'toJSON');
  Object.defineProperty(BigInt.prototype, 'toJSON', { value: () => 'text', configurable: true });
  t.teardown(() => {
    if (before === undefined) Reflect.deleteProperty(BigInt.prototype, 'toJSON');
    else Object.defineProperty(BigInt.prototype, 'toJSON', before);
  });
  return withServer(exampleService(), async (fixture) => {
    const { parameters } = await fixture.client().call(methods.Mirror, { thing: { a: 2n ** 60n } });
    t.strictSame(parameters.thing, { a: 2n ** 60n });
  });
});

/** What can't be sent, and what the error says of it. */
const unsendable: [string, object, string, RegExp][] = [
  ['NaN', { a: Number.NaN }, 'RangeError', /'thing\.a'.*NaN/],
  ['Infinity', { a: [1, { b: Number.POSITIVE_INFINITY }] }, 'RangeError', /'thing\.a\[1\]\.b'.*Infinity/],
  ['minus Infinity', { a: -Infinity }, 'RangeError', /'thing\.a'.*-Infinity/],
  ['undefined in an array', { a: [1, undefined] }, 'TypeError', /'thing\.a\[1\]'.*undefined/],
  ['a gap in an array', { a: new Array(1) }, 'TypeError', /'thing\.a\[0\]'.*undefined/],
  ['a function in an array', { a: [() => {}] }, 'TypeError', /'thing\.a\[0\]'.*function/],
  ['a function', { a: () => {} }, 'TypeError', /'thing\.a'.*function/],
  ['a symbol', { a: Symbol('a') }, 'TypeError', /'thing\.a'.*symbol/],
  ['NUL', { a: 'x\0' }, 'TypeError', /'thing\.a'.*NUL/],
  ['NUL in a key', { 'a\0': 1 }, 'TypeError', /'thing'.*key/],
  ['half of a surrogate pair', { a: { b: '\ud83d' } }, 'TypeError', /'thing\.a\.b'.*surrogate/],
  ['half of a surrogate pair in a key', { '\ude42': 1 }, 'TypeError', /'thing'.*key/],
  ['a Map', { a: new Map([[1, 2]]) }, 'TypeError', /'thing\.a'.*Map/],
  ['a Set', { a: new Set([1]) }, 'TypeError', /'thing\.a'.*Set/],
  ['a Promise', { a: Promise.resolve(1) }, 'TypeError', /'thing\.a'.*Promise/],
  ['an integer of 65 bits', { a: 2n ** 64n }, 'RangeError', /'thing\.a'.*64 bits/],
  ['what JSON itself makes NaN', { a: { toJSON: () => Number.NaN } }, 'RangeError', /'thing\.a'.*NaN/],
  ['an object within itself', circular(), 'TypeError', /'thing\.a\.a'.*itself/],
];

function circular(): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  object.a = { a: object };
  return object;
}

const eio = { error: 'io.systemd.System', parameters: { origin: 'linux', errnoName: 'EIO', errno: 5 } };

for (const [what, thing, name, message] of unsendable) {
  const reply = { thing: thing as Record<string, unknown> };
  const start = { thing: {} };
  /** Each way in which a handler may give it, and what is sent before the error. */
  const ways: [string, Parameters<typeof exampleService>[0], object[]][] = [
    ['returned', { Mirror: () => reply }, []],
    ['promised', { Mirror: async () => reply }, []],
    ['emitted', { Mirror: () => new Observable((subscriber) => subscriber.next(reply)) }, []],
    [
      'emitted later',
      {
        Mirror: () =>
          new Observable((subscriber) => {
            subscriber.next(start);
            setImmediate(() => subscriber.next(reply));
          }),
      },
      [{ parameters: start, continues: true }],
    ],
    [
      'notified',
      {
        Mirror: (_, call) => {
          call.notify(reply);
          return NEVER;
        },
      },
      [],
    ],
    [
      'thrown',
      {
        Mirror: () => {
          throw errors.Refused(reply as never);
        },
      },
      [],
    ],
  ];
  for (const [how, handlers, before] of ways) {
    t.test(`${what}, ${how} by a handler, is an error that names the field`, (t) =>
      withServer(exampleService(handlers), async (fixture) => {
        const client = fixture.raw();
        client.send(call('Mirror', { thing: {} }, { more: true }), call('Echo', { text: 'alive' }));
        t.same(await client.replies(before.length + 2), [...before, eio, { parameters: { text: 'alive' } }]);
        t.match(fixture.failures, [{ name, message }]);
      }),
    );
  }

  t.test(`${what}, given by a client, rejects the call and names the field`, (t) =>
    withServer(exampleService(), async (fixture) => {
      const client = fixture.client();
      await t.rejects(client.call(methods.Mirror, reply), { name, message });
      t.throws(() => client.oneway(methods.Mirror, reply), { name, message });
      t.same((await client.call(methods.Mirror, start)).parameters, start);
    }),
  );
}

t.test('what is undefined is left out, dates are texts, and minus zero is zero', (t) =>
  withServer(exampleService(), async (fixture) => {
    const thing = { a: undefined, b: new Date(0), c: -0, d: Object.create(null) };
    const { parameters } = await fixture.client().call(methods.Mirror, { thing });
    t.strictSame(parameters.thing, { b: '1970-01-01T00:00:00.000Z', c: 0, d: {} });
  }),
);

t.test(
  'a client takes no reply with a key twice, a string that is no text, or a number that would be another',
  async (t) => {
    for (const [reply, message] of [
      ['{"parameters":{"thing":{}},"parameters":{}}', /'parameters' twice/],
      ['{"parameters":{"thing":{"a":[{"b":1,"b":1}]}}}', /'b' twice/],
      ['{"parameters":{"thing":{},"newer":{"b":1,"b":1}}}', /'b' twice/],
      ['{"parameters":{"thing":{"a":"\\u0000"}}}', /no text/],
      ['{"parameters":{"thing":{"a":"\\udc00"}}}', /no text/],
      ['{"parameters":{"thing":{"a":1e999}}}', /1e999/],
      ['{"parameters":{"thing":{"a":18446744073709551617}}}', /18446744073709551617/],
      ['{"parameters":{"thing":{"a":01}}}', /no JSON/],
    ] as const) {
      const answer = await answeredWith(`${reply}\0`, (client) => client.call(methods.Mirror, { thing: {} }));
      t.type(answer, ProtocolError, reply);
      t.match(answer, { message });
    }
  },
);

t.test('an error with an integer of 64 bits is one', async (t) => {
  const error = '{"error":"a.B","parameters":{"size":18446744073709551615}}\0';
  const answer = await answeredWith(error, (client) => client.call(methods.Nothing, {}));
  t.match(answer, {
    error: 'a.B',
    parameters: { size: 2n ** 64n - 1n },
    message: 'a.B {"size":"18446744073709551615"}',
  });
});

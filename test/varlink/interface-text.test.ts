import { execFile } from 'node:child_process';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import {
  type AnyInterface,
  anyValue,
  type Fields,
  field,
  foreignObject,
  implement,
  int,
  intBetween,
  nullable,
  optional,
  service,
  struct,
  varlinkInterface,
} from '@sdrx/varlink';
import fc from 'fast-check';
import * as io from 'io-ts';
import t from 'tap';
import { example, exampleService } from './example.js';
import { type Fixture, info, withServer } from './fixture.js';

const tree = process.env.SDRX_DEBIAN_TREE;
const skip = tree === undefined || tree === '' ? 'SDRX_DEBIAN_TREE names no Debian tree with systemd 257' : false;

/** Runs the varlinkctl of the Debian tree. */
async function varlinkctl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('chroot', [tree ?? '', 'varlinkctl', ...args]);
  return stdout;
}

/** A server whose socket is in the Debian tree; `address` is what varlinkctl calls it. */
function withServerInTree(
  implementations: Parameters<typeof withServer>[0],
  test: (fixture: Fixture, address: string) => Promise<void>,
): Promise<void> {
  return withServer(implementations, (fixture) => test(fixture, `unix:/tmp/${basename(fixture.folder)}/socket`), {
    below: `${tree}/tmp`,
  });
}

t.test('the text of an interface reads as the definition language has it', (t) => {
  const text = `# For tests.
#
# Two paragraphs of it.
interface org.example.test

# A colour
type Colour (red, green, light_blue)

type Point (
  x: int,
  # Downwards
  y: int
)

# Answers with what it was given.
method Echo(
  # Any text
  text: string,
  number: ?int,
  ratio: ?float,
  flag: ?bool,
  colour: ?Colour,
  # Several
  # lines
  points: ?[]Point,
  names: ?[string]string,
  thing: ?object
) -> (
  text: string,
  number: ?int,
  points: ?[]Point
)

method Nothing() -> ()

# [Supports 'more' flag]
method Count(
  to: int
) -> (
  value: int
)

# [Requires 'more' flag]
method Watch() -> (
  value: int
)
`;
  t.ok(example.text.startsWith(text), example.text);
  t.ok(
    example.text.endsWith(`# No.
error Refused (
  why: string,
  when: ?int
)

error Plain ()
`),
    example.text,
  );
  t.end();
});

t.test('a type may contain itself', (t) => {
  interface Tree {
    readonly children?: Tree[] | undefined;
  }
  const Tree: io.Type<Tree> = io.recursion('Tree', (self) => struct({ children: optional(io.array(self)) }));
  const { text } = varlinkInterface({ name: 'a.b', types: { Tree: { codec: Tree } } });
  t.equal(text, 'interface a.b\n\ntype Tree (\n  children: ?[]Tree\n)\n');
  t.end();
});

t.test('comments stand within types, too, and what has none is in one line', (t) => {
  const speed = io.keyof({ slow: 'On foot', 'very-fast': null });
  const place = struct({ x: field(int), y: field(int, 'Downwards') });
  const { text } = varlinkInterface({
    name: 'a.b',
    types: { Speed: { codec: speed } },
    methods: {
      Go: {
        parameters: { to: field(io.array(place)), by: optional(struct({ how: field(speed), why: field(anyValue) })) },
      },
    },
  });
  t.equal(
    text,
    `interface a.b

type Speed (
  # On foot
  slow,
  very-fast
)

method Go(
  to: [](
    x: int,
    # Downwards
    y: int
  ),
  by: ?(how: Speed, why: any)
) -> ()
`,
  );
  t.end();
});

t.test('a comment is of lines that a parser takes for such, whatever ends them in the description', (t) => {
  const { text } = varlinkInterface({ name: 'a.b', description: 'one\rtwo\r\nthree\u2028four\u2029five' });
  t.equal(text, '# one\n# two\n# three\n# four\n# five\ninterface a.b\n');
  t.end();
});

/** What the definition language does not allow. */
const forbidden: [string, () => AnyInterface][] = [
  ['an interface without a dot', () => varlinkInterface({ name: 'example' })],
  ['an interface name with an empty part', () => varlinkInterface({ name: 'org..example' })],
  ['a method in lower case', () => varlinkInterface({ name: 'a.b', methods: { call: {} } })],
  ['an error with an underscore', () => varlinkInterface({ name: 'a.b', errors: { No_Way: {} } })],
  ['a method and an error of one name', () => varlinkInterface({ name: 'a.b', methods: { X: {} }, errors: { X: {} } })],
  ['a field that ends with an underscore', () => withField('x_', field(int))],
  ['a field with a dash', () => withField('x-y', field(int))],
  ['an enum value that ends with a dash', () => withField('x', field(io.keyof({ 'a-': null })))],
  ['a codec without a type', () => withField('x', field(io.unknown))],
  ['a union of two types', () => withField('x', field(io.union([io.string, int])))],
  ['nullable twice', () => withField('x', field(nullable(nullable(int))))],
  ['a named type that is a list', () => varlinkInterface({ name: 'a.b', types: { X: { codec: io.array(int) } } })],
];

function withField(name: string, declared: Fields[string]): AnyInterface {
  return varlinkInterface({ name: 'a.b', methods: { Call: { parameters: { [name]: declared } } } });
}

for (const [what, declare] of forbidden) {
  t.test(`${what} is refused at declaration`, (t) => {
    t.throws(declare, TypeError);
    t.end();
  });
}

t.test('the same interface twice in a service is refused', (t) => {
  t.throws(() => service(info, implement(example, {}), implement(example, {})), TypeError);
  t.end();
});

t.test('GetInfo names the vendor and all interfaces, GetInterfaceDescription gives their texts', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.send({ method: 'org.varlink.service.GetInfo' });
    const interfaces = ['io.systemd', 'org.example.test', 'org.varlink.service'];
    const info = { vendor: 'sdrx', product: 'test', version: '1', url: 'https://example.org/', interfaces };
    t.same(await client.replies(1), [{ parameters: info }]);
    const method = 'org.varlink.service.GetInterfaceDescription';
    client.send({ method, parameters: { interface: 'org.example.test' } });
    t.same(await client.replies(1), [{ parameters: { description: example.text } }]);
  }),
);

t.test('varlinkctl shows who we are', { skip }, (t) =>
  withServerInTree(exampleService(), async (_, address) => {
    const shown = await varlinkctl('info', address);
    t.match(shown, /Vendor: sdrx/);
    t.match(shown, /org\.example\.test\n.*org\.varlink\.service/);
    t.same((await varlinkctl('list-interfaces', address)).trim().split('\n'), [
      'io.systemd',
      'org.example.test',
      'org.varlink.service',
    ]);
  }),
);

t.test('varlinkctl understands each of our interfaces', { skip }, (t) =>
  withServerInTree(exampleService(), async (_, address) => {
    for (const name of ['io.systemd', 'org.varlink.service', 'org.example.test']) {
      t.match(await varlinkctl('introspect', address, name), new RegExp(`interface ${name}\n`));
    }
    // It prints what it has understood, in its own layout, and differs from the text it got: not passed through.
    const shown = await varlinkctl('introspect', address, 'org.example.test');
    t.equal(withoutLayout(shown), withoutLayout(example.text));
    t.not(shown, example.text);
  }),
);

t.test('varlinkctl calls our methods', { skip }, (t) =>
  withServerInTree(exampleService({ Count: ({ to }) => ({ value: to }) }), async (_, address) => {
    const reply = await varlinkctl('-j', 'call', address, 'org.example.test.Echo', '{"text":"hello","number":7}');
    t.same(JSON.parse(reply), { text: 'hello', number: 7 });
    const counted = await varlinkctl('-j', '--more', 'call', address, 'org.example.test.Count', '{"to":3}');
    t.same(JSON.parse(counted.replaceAll('\u001e', '')), { value: 3 });
    await t.rejects(varlinkctl('call', address, 'org.example.test.Unimplemented', '{}'), {
      message: /MethodNotImplemented/,
    });
  }),
);

function withoutLayout(text: string): string {
  return text
    .split('\n')
    .filter((line) => !line.trim().startsWith('#'))
    .join('')
    .replaceAll(/\s+/g, '');
}

/** Any type that a field may have. */
const codec: fc.Arbitrary<io.Mixed> = fc.letrec<{ codec: io.Mixed }>((tie) => ({
  codec: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<io.Mixed>(int, intBetween(0, 9), io.string, io.number, io.boolean, foreignObject),
    fc.constantFrom<io.Mixed>(io.keyof({ one: null }), io.keyof({ a: null, b_c: null, d9: null })),
    tie('codec').map((inner) => io.array(inner)),
    tie('codec').map((inner) => io.record(io.string, inner)),
    fc
      .dictionary(
        fieldName(),
        tie('codec').map((inner) => field(inner)),
        { minKeys: 1, maxKeys: 3 },
      )
      .map(struct),
  ),
})).codec;

function fieldName(): fc.Arbitrary<string> {
  return fc.stringMatching(/^[a-z](_?[A-Za-z0-9]){0,8}$/);
}

const description = fc.option(fc.string({ unit: fc.constantFrom('a', 'B', ' ', '\n', '#', ',', ')', '?') }), {
  nil: undefined,
});

const fields: fc.Arbitrary<Fields> = fc.dictionary(
  fieldName(),
  fc.tuple(codec, fc.boolean(), description).map(([codec, mayMiss, text]) => (mayMiss ? optional : field)(codec, text)),
  { maxKeys: 4 },
);

const declared: fc.Arbitrary<AnyInterface> = fc
  .record({
    methods: fc.dictionary(
      memberName('M'),
      fc.record({ parameters: fields, reply: fields, description: described() }),
      {
        minKeys: 1,
        maxKeys: 4,
      },
    ),
    errors: fc.dictionary(memberName('E'), fc.record({ fields }), { maxKeys: 3 }),
    types: fc.dictionary(
      memberName('T'),
      fields.map((of) => ({ codec: struct({ it: field(int), ...of }) })),
      {
        maxKeys: 3,
      },
    ),
  })
  .map((members) => varlinkInterface({ name: 'org.example.random', ...members }));

function described(): fc.Arbitrary<string> {
  return description.map((text) => text ?? '');
}

function memberName(first: string): fc.Arbitrary<string> {
  return fc.stringMatching(/^[A-Za-z0-9]{0,8}$/).map((rest) => `${first}${rest}`);
}

t.test('varlinkctl understands any interface that can be declared', { skip }, (t) =>
  fc.assert(
    fc.asyncProperty(declared, (any) =>
      withServerInTree([implement(any, {})], async (_, address) => {
        const shown = await varlinkctl('introspect', address, any.name);
        t.equal(withoutLayout(shown), withoutLayout(any.text));
      }),
    ),
    { numRuns: 40 },
  ),
);

import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { field, implement, int, struct, varlinkInterface } from '@sdrx/varlink';
import { from, lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { example, exampleService } from './example.js';
import { withServer } from './fixture.js';

/** Second copies of the packages that a program's own tree may have beside ours. */
interface Copies {
  readonly io: typeof import('io-ts');
  readonly rxjs: typeof import('rxjs');
  readonly varlink: typeof import('@sdrx/varlink');
}

/** The folder of a package that we have. */
function folderOf(name: string): string {
  const packages = dirname(fileURLToPath(import.meta.resolve('@sdrx/varlink')));
  return realpathSync(join(packages, '..', 'node_modules', name));
}

/** A tree of modules with copies of all that is not bound to a file of the machine. */
function makeTree(folder: string): string {
  const modules = join(folder, 'node_modules');
  // With what they need themselves: pnpm has that beside them.
  for (const name of ['io-ts', 'rxjs'])
    cpSync(dirname(folderOf(name)), modules, { recursive: true, dereference: true });
  mkdirSync(join(modules, '@sdrx'));
  for (const name of ['linux', 'event']) symlinkSync(folderOf(`@sdrx/${name}`), join(modules, '@sdrx', name));
  const ours = join(dirname(fileURLToPath(import.meta.resolve('@sdrx/varlink'))), '..');
  for (const part of ['dist', 'package.json']) {
    cpSync(join(ours, part), join(modules, '@sdrx', 'varlink', part), { recursive: true });
  }
  return modules;
}

const folder = mkdtempSync(join(tmpdir(), 'sdrx-copies-'));
t.teardown(() => rmSync(folder, { recursive: true }));
const modules = makeTree(folder);

async function load(path: string): Promise<unknown> {
  return await import(pathToFileURL(join(modules, path)).href);
}

const { io, rxjs, varlink } = {
  io: await load('io-ts/lib/index.js'),
  rxjs: await load('rxjs/dist/cjs/index.js'),
  varlink: await load('@sdrx/varlink/dist/index.js'),
} as Copies;

t.test('they are copies', (t) => {
  t.not(io.string.constructor, Object);
  t.notOk(io.string instanceof (int.constructor as never));
  t.not(varlink.VarlinkError, undefined);
  t.notOk(from([]) instanceof rxjs.Observable);
  t.not(varlink.struct, struct);
  t.end();
});

t.test('an interface is declared by the codecs of a second io-ts as by those of the first', (t) => {
  const Colour = io.keyof({ red: null, green: null });
  interface Tree {
    readonly children?: Tree[] | undefined;
  }
  const Tree: import('io-ts').Type<Tree> = io.recursion('Tree', (self) =>
    struct({ children: varlink.optional(io.array(self)) }),
  );
  const { text } = varlinkInterface({
    name: 'a.b',
    types: { Colour: { codec: Colour }, Tree: { codec: Tree } },
    methods: {
      Call: {
        parameters: {
          text: field(io.string),
          ratio: field(io.number),
          flag: field(io.boolean),
          names: field(io.array(io.string)),
          map: field(io.record(io.string, io.string)),
          thing: field(io.UnknownRecord),
          colour: field(Colour),
          maybe: field(io.array(io.union([io.string, io.null]))),
          count: field(varlink.int),
          small: field(varlink.uint32),
          point: field(varlink.struct({ x: varlink.field(varlink.int) })),
        },
      },
    },
  });
  t.equal(
    text,
    `interface a.b

type Colour (red, green)

type Tree (
  children: ?[]Tree
)

method Call(
  text: string,
  ratio: float,
  flag: bool,
  names: []string,
  map: [string]string,
  thing: object,
  colour: Colour,
  maybe: []?string,
  count: int,
  small: int,
  point: (x: int)
) -> ()
`,
  );
  t.throws(() => varlinkInterface({ name: 'a.b', methods: { Call: { reply: { x: field(io.unknown) } } } }), {
    name: 'TypeError',
    message: /no type for unknown/,
  });
  t.end();
});

t.test('a service of second copies is served as one of the first: codecs, Observables, errors', (t) => {
  const other = varlink.varlinkInterface({
    name: 'org.example.other',
    methods: {
      Count: {
        more: true,
        parameters: {
          to: varlink.field(varlink.int),
          points: varlink.optional(io.array(varlink.struct({ x: varlink.field(io.number) }))),
        },
        reply: { value: varlink.field(varlink.int) },
      },
      Fail: {},
    },
    errors: { Refused: { fields: { why: varlink.field(io.string) } } },
  });
  const service = varlink.implement(other, {
    Count: ({ to }) => rxjs.range(1, to).pipe(rxjs.map((value) => ({ value }))),
    Fail: () => {
      throw other.errors.Refused({ why: 'so' });
    },
  });
  return withServer([service, ...exampleService()], async (fixture) => {
    const client = fixture.client();
    const { Count, Fail } = other.methods;
    const all = await lastValueFrom(client.more(Count, { to: 3 }).pipe(toArray()));
    t.same(
      all.map(({ parameters }) => parameters.value),
      [1, 2, 3],
    );
    t.same((await client.call(Count, { to: 1, points: [{ x: 0.5 }] })).parameters, { value: 1 });
    await t.rejects(client.call(Count, { to: 1, points: [{ x: 'a' }] } as never), { name: 'TypeError' });
    const thrown = await client.call(Fail, {}).catch((error: unknown) => error);
    t.match(thrown, { error: 'org.example.other.Refused', parameters: { why: 'so' } });
    t.ok(other.errors.Refused.is(thrown), 'an error of the first copy');
    t.same(fixture.failures, []);
  });
});

t.test('a handler may give an Observable of a second RxJS, or any promise', (t) => {
  const service = exampleService({
    Count: ({ to }) => rxjs.range(1, to).pipe(rxjs.map((value) => ({ value }))) as never,
    // biome-ignore lint/suspicious/noThenProperty: that is what it is about
    Later: ({ value }) => ({ then: (resolve: (reply: object) => void) => setImmediate(resolve, { value }) }) as never,
  });
  return withServer(service, async (fixture) => {
    const client = fixture.client();
    const all = await lastValueFrom(client.more(example.methods.Count, { to: 3 }).pipe(toArray()));
    t.same(
      all.map(({ parameters }) => parameters.value),
      [1, 2, 3],
    );
    t.same((await client.call(example.methods.Later, { value: 5 })).parameters, { value: 5 });
  });
});

t.test('an interface of the first copy is implemented by the second', (t) => {
  const service = varlink.implement(example, { Nothing: () => {}, Echo: ({ text }) => ({ text }) });
  return withServer([service, implement(varlinkInterface({ name: 'a.b' }), {})], async (fixture) => {
    t.same((await fixture.client().call(example.methods.Echo, { text: 'x' })).parameters, { text: 'x' });
  });
});

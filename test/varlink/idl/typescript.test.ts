import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { type AnyInterface, type InterfaceSyntax, parseInterface, printInterface, typescriptOf } from '@sdrx/varlink';
import fc from 'fast-check';
import t from 'tap';
import { compilePrograms } from '../../docs/page-program.js';
import { Folder } from '../../support/folder.js';
import { leavingNothing } from '../../support/nothing-left.js';
import { runNode } from '../../support/run-node.js';
import { arbitraryInterface } from './arbitrary-interface.js';

const INTERFACE = `# Trees, and who says "it's one".
interface org.example.tree-house

# It may have others within, so */ it contains itself.
type Tree (
  # Such as an oak
  name: string,
  hue: Hue,
  children: ?[]Tree
)

type Wood (trees: []Tree, wind: any)

type Hue (light-red, green)

# [Supports 'more' flag]
# Plants it.
method Plant(tree: Tree, tags: [string]?string, sun: ?(full, half)) -> (wood: ?Wood)

error Withered (when: int)

error Plain ()
`;

const MODULE = `import { anyValue, field, int, nullable, optional, string, struct, varlinkInterface } from '@sdrx/varlink';
import * as t from 'io-ts';

export const Hue = t.keyof({ 'light-red': null, green: null });
export type Hue = t.TypeOf<typeof Hue>;

/** It may have others within, so *\\/ it contains itself. */
export interface Tree {
  /** Such as an oak */
  readonly name: string;
  readonly hue: Hue;
  readonly children?: Array<Tree> | undefined;
}
/** It may have others within, so *\\/ it contains itself. */
export const Tree: t.Type<Tree> = t.recursion('Tree', () => struct({
  name: field(string, 'Such as an oak'),
  hue: field(Hue),
  children: optional(t.array(Tree)),
}));

export const Wood = struct({
  trees: field(t.array(Tree)),
  wind: field(anyValue),
});
export type Wood = t.TypeOf<typeof Wood>;

/** Trees, and who says "it's one". */
export const treeHouse = varlinkInterface({
  name: 'org.example.tree-house',
  description: 'Trees, and who says "it\\'s one".',
  types: {
    Tree: { description: 'It may have others within, so */ it contains itself.', codec: Tree },
    Wood: { codec: Wood },
    Hue: { codec: Hue },
  },
  methods: {
    Plant: {
      description: 'Plants it.',
      more: true,
      parameters: {
        tree: field(Tree),
        tags: field(t.record(t.string, nullable(string))),
        sun: optional(t.keyof({ full: null, half: null })),
      },
      reply: {
        wood: optional(Wood),
      },
    },
  },
  errors: {
    Withered: {
      fields: {
        when: field(int),
      },
    },
    Plain: {},
  },
});
`;

t.test('a module reads as one that somebody wrote', (t) => {
  t.equal(typescriptOf(parseInterface(INTERFACE)), MODULE);
  t.end();
});

/** With types first and errors last, as a declaration has them. */
function inOrder(syntax: InterfaceSyntax): InterfaceSyntax {
  const { members } = syntax;
  return {
    ...syntax,
    members: ['type', 'method', 'error'].flatMap((kind) => members.filter((member) => member.kind === kind)),
  };
}

t.test('whatever an interface says, its module compiles, and its text is the same', async (t) => {
  const several = fc.array(arbitraryInterface, { minLength: 20, maxLength: 20 });
  const check = async (interfaces: InterfaceSyntax[]) => {
    await leavingNothing(async () => {
      using folder = new Folder();
      compilePrograms(
        folder,
        new Map(interfaces.map((syntax, index) => [`i${index}`, typescriptOf(syntax, { name: 'made' })])),
      );
      for (const [index, syntax] of interfaces.entries()) {
        const { made } = (await import(pathToFileURL(folder.join(`i${index}.js`)).href)) as { made: AnyInterface };
        assert.equal(made.text, printInterface(inOrder(syntax)));
      }
    });
  };
  // To make it smaller would take a compilation each time.
  await fc.assert(fc.asyncProperty(several, check), { numRuns: 1, endOnFailure: true });
  t.pass();
});

t.test('calls, replies and errors have the types that the interface says', (t) => {
  using folder = new Folder();
  const program = `
    import type { VarlinkClient } from '@sdrx/varlink';
    import { type Hue, type Tree, treeHouse } from './tree.js';
    const hue: Hue = 'light-red';
    export const tree: Tree = { name: 'a', hue, children: [{ name: 'b', hue: 'green' }] };
    export async function plant(client: VarlinkClient): Promise<string | undefined> {
      const { parameters } = await client.call(treeHouse.methods.Plant, { tree, tags: { a: null }, sun: 'full' });
      return parameters.wood?.trees[0]?.children?.[0]?.name;
    }
    export function complain() {
      // @ts-expect-error
      const wrong: Hue = 'blue';
      // @ts-expect-error
      treeHouse.errors.Withered({ when: wrong });
      return treeHouse.errors.Withered({ when: 5 });
    }
    if (treeHouse.methods.Plant.parameters.decode({ tree, tags: {} })._tag !== 'Right') throw new Error('refused');
    console.log(complain().error, tree.children?.length);`;
  compilePrograms(
    folder,
    new Map([
      ['tree', MODULE],
      ['program', program],
    ]),
  );
  const { output } = runNode([folder.join('program.js')]);
  t.equal(output, 'org.example.tree-house.Withered 1\n');
  t.end();
});

/** The last part of an interface's name, and what its constant is called. */
const names: [string, string][] = [
  ['JournalAccess', 'journalAccess'],
  ['ManagedOOM', 'managedOOM'],
  ['OOMManager', 'oomManager'],
  ['service', 'service'],
  ['my-own-1st', 'myOwn1st'],
  ['1st', '_1st'],
  ['class', 'classInterface'],
  ['struct', 'structInterface'],
  ['URL', 'url'],
];

for (const [last, constant] of names) {
  t.test(`the interface …${last} is called ${constant}`, (t) => {
    t.match(typescriptOf(parseInterface(`interface a.${last}`)), `export const ${constant} = varlinkInterface(`);
    t.end();
  });
}

t.test('a name that the module could not have is refused', (t) => {
  const syntax = parseInterface('interface a.b\ntype X ()');
  for (const name of ['', 'a b', '1', 'class', 'struct', 't', 'X', 'a-b', 'ä'])
    t.throws(
      () => typescriptOf(syntax, { name }),
      { name: 'TypeError', message: /^`name` must be an identifier/ },
      name,
    );
  t.end();
});

t.test('a type that the interface has not is named', (t) => {
  const syntax = parseInterface('interface a.b\nmethod X(a: ?[]Missing) -> ()');
  t.throws(() => typescriptOf(syntax), new TypeError("the interface has no type 'Missing'"));
  t.end();
});

import assert from 'node:assert/strict';
import { interfaceFromText, parseInterface, printInterface } from '@sdrx/varlink';
import fc from 'fast-check';
import t from 'tap';
import { arbitraryInterface } from './arbitrary-interface.js';

t.test('an interface that is only known by its text has that text, whatever it says', (t) => {
  fc.assert(
    fc.property(arbitraryInterface, (syntax) => {
      const { members } = syntax;
      const ordered = ['type', 'method', 'error'].flatMap((kind) => members.filter((member) => member.kind === kind));
      assert.equal(interfaceFromText(printInterface(syntax)).text, printInterface({ ...syntax, members: ordered }));
    }),
    { numRuns: 200 },
  );
  t.end();
});

const { methods, errors } = interfaceFromText(`interface org.example.tree
type Tree (name: string, hue: ?(light-red, green), children: ?[]Tree)
method Plant(tree: Tree, tags: [string]any) -> (tree: ?Tree)
error Withered (when: int)`);

t.test('it checks what comes and goes', (t) => {
  const decoded = (parameters: unknown) => methods.Plant?.parameters.decode(parameters)._tag;
  const tree = {
    name: 'a',
    hue: 'light-red',
    children: [
      { name: 'b', children: [] },
      { name: 'c', hue: null },
    ],
  };
  t.equal(decoded({ tree, tags: { a: 1, b: 'x', c: [] } }), 'Right');
  t.equal(decoded({ tree, tags: { a: null } }), 'Left', 'null is no `any`');
  t.equal(decoded({ tree: { ...tree, hue: 'blue' }, tags: {} }), 'Left');
  t.equal(decoded({ tree: { name: 'a', children: [{ name: 1 }] }, tags: {} }), 'Left');
  t.equal(decoded({ tree }), 'Left');
  t.match(errors.Withered?.({ when: 5 }), { error: 'org.example.tree.Withered', parameters: { when: 5 } });
  t.end();
});

t.test('a type that the text does not declare is named', (t) => {
  const text = 'interface a.b\nmethod X(a: Missing) -> ()';
  t.throws(() => interfaceFromText(text), new TypeError("the interface has no type 'Missing'"));
  t.ok(parseInterface(text), 'although it can be read');
  t.end();
});

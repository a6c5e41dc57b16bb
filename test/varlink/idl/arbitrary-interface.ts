import type {
  EnumSyntax,
  FieldSyntax,
  InterfaceSyntax,
  MemberSyntax,
  MethodMember,
  StructSyntax,
  TypeSyntax,
} from '@sdrx/varlink';
import fc from 'fast-check';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const letter = fc.constantFrom(...LETTERS);
const capital = fc.constantFrom(...LETTERS.toUpperCase());
const alphanumeric = fc.constantFrom(...LETTERS, ...LETTERS.toUpperCase(), ...'0123456789');

/** A first character, and parts that begin with a divider or not. */
function nameOf(first: fc.Arbitrary<string>, ...dividers: string[]): fc.Arbitrary<string> {
  const part = fc.tuple(fc.constantFrom('', ...dividers), alphanumeric).map((characters) => characters.join(''));
  return fc.tuple(first, fc.array(part, { maxLength: 8 })).map(([start, rest]) => start + rest.join(''));
}

const fieldName = nameOf(fc.oneof(letter, capital), '_');
const valueName = nameOf(letter, '_', '-');
const memberName = nameOf(capital);

/** Text as a comment gives it back: no line ends with a space, and it is not empty. */
const line = fc
  .string({ unit: 'grapheme', maxLength: 20 })
  .map((text) => text.replace(/[\0\r\n\u2028\u2029]/g, '').trimEnd());
const comment = fc
  .array(line, { minLength: 1, maxLength: 3 })
  .map((lines) => lines.join('\n'))
  .filter((text) => text !== '');
const description = fc.option(comment, { nil: undefined, freq: 2 });

function unique<T extends { name: string }>(of: fc.Arbitrary<T>, minLength = 0): fc.Arbitrary<T[]> {
  return fc.uniqueArray(of, { minLength, maxLength: 4, selector: ({ name }) => name });
}

const enumeration: fc.Arbitrary<EnumSyntax> = unique(fc.record({ name: valueName, description }), 1).map((values) => ({
  kind: 'enum',
  values,
}));

/** Structs, and all other types, made of these named ones. */
function typesOf(names: readonly string[]): { struct: fc.Arbitrary<StructSyntax>; type: fc.Arbitrary<TypeSyntax> } {
  return fc.letrec<{ struct: StructSyntax; type: TypeSyntax; solid: TypeSyntax; leaf: TypeSyntax; field: FieldSyntax }>(
    (tie) => ({
      leaf: fc.oneof(
        fc.constantFrom('bool', 'int', 'float', 'string', 'object', 'any').map((kind) => ({ kind }) as TypeSyntax),
        ...(names.length === 0 ? [] : [fc.constantFrom(...names).map((name): TypeSyntax => ({ kind: 'named', name }))]),
      ),
      solid: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        tie('leaf'),
        tie('struct'),
        enumeration,
        fc.record({ kind: fc.constantFrom('array' as const, 'map' as const), of: tie('type') }),
      ),
      type: fc.oneof(
        { maxDepth: 4 },
        tie('leaf'),
        tie('solid'),
        tie('solid').map((of): TypeSyntax => ({ kind: 'nullable', of })),
      ),
      field: fc.record({ name: fieldName, description, type: tie('type') }),
      struct: unique(tie('field')).map((fields): StructSyntax => ({ kind: 'struct', fields })),
    }),
  );
}

const flag = fc.constantFrom(undefined, true as const, 'required' as const);

function memberOf(name: string, names: readonly string[], isType: boolean): fc.Arbitrary<MemberSyntax> {
  const { struct } = typesOf(names);
  const is = fc.constant(name);
  if (isType) {
    const definition = fc.oneof(struct, enumeration);
    return fc.record({ kind: fc.constant('type'), name: is, description, definition });
  }
  return fc.oneof(
    fc.record({ kind: fc.constant('error'), name: is, description, fields: struct }),
    fc
      .record({ kind: fc.constant('method'), name: is, description, more: flag, parameters: struct, reply: struct })
      .map((method): MethodMember => method),
  );
}

/** Any interface that the definition language can say, types first. */
export const arbitraryInterface: fc.Arbitrary<InterfaceSyntax> = fc
  .record({
    name: fc.tuple(nameOf(letter, '-'), nameOf(letter, '-')).map((parts) => parts.join('.')),
    description,
    types: fc.uniqueArray(memberName, { maxLength: 3 }),
    others: fc.uniqueArray(memberName, { maxLength: 3 }),
  })
  .chain(({ name, description, types, others }) => {
    const rest = others.filter((other) => !types.includes(other));
    const members = [
      ...types.map((type) => memberOf(type, types, true)),
      ...rest.map((other) => memberOf(other, types, false)),
    ];
    return fc.tuple(...members).map((made): InterfaceSyntax => ({ name, description, members: made }));
  });

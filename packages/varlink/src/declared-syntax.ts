import type * as t from 'io-ts';
import { varlinkCodec } from './codec-kind.js';
import { requireName } from './idl/names.js';
import type {
  EnumSyntax,
  FieldSyntax,
  InterfaceSyntax,
  MemberSyntax,
  MethodMember,
  StructSyntax,
  TypeMember,
  TypeSyntax,
} from './idl/syntax.js';
import type { ErrorDeclarations, InterfaceDeclaration, MethodDeclaration, MethodDeclarations } from './interface.js';
import type { Fields } from './struct.js';

/** The name that a declared type's codec goes by. */
type TypeNames = ReadonlyMap<t.Mixed, string>;

/** What a declaration says, in the definition language; throws a TypeError that names what that does not allow. */
export function declaredSyntax(
  declaration: InterfaceDeclaration<MethodDeclarations, ErrorDeclarations>,
): InterfaceSyntax {
  const { name, description, types = {}, methods = {}, errors = {} } = declaration;
  requireName('interface', name);
  requireUnique(name, [...Object.keys(types), ...Object.keys(methods), ...Object.keys(errors)]);
  const names: TypeNames = new Map(Object.entries(types).map(([key, { codec }]) => [codec, key]));
  const members: MemberSyntax[] = [
    ...Object.entries(types).map(([key, type]): TypeMember => {
      const { description } = type;
      return { kind: 'type', name: requireName('member', key), description, definition: definition(type.codec, names) };
    }),
    ...Object.entries(methods).map(([key, method]) => methodSyntax(requireName('member', key), method, names)),
    ...Object.entries(errors).map(([key, { description, fields = {} }]) => {
      return { kind: 'error' as const, name: requireName('member', key), description, fields: struct(fields, names) };
    }),
  ];
  return { name, description, members };
}

function methodSyntax(
  name: string,
  { description, more, upgrade, parameters = {}, reply = {} }: MethodDeclaration,
  names: TypeNames,
): MethodMember {
  return {
    kind: 'method',
    name,
    description,
    more,
    upgrade,
    parameters: struct(parameters, names),
    reply: struct(reply, names),
  };
}

function requireUnique(where: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new TypeError(`${where} declares '${twice}' twice: types, methods and errors share names`);
}

/** What follows the name in a type's own declaration. */
function definition(declared: t.Mixed, names: TypeNames): StructSyntax | EnumSyntax {
  const codec = varlinkCodec(declared);
  switch (codec._tag) {
    case 'RecursiveType':
      return definition(codec.runDefinition(), names);
    case 'StructType':
      return struct(codec.fields, names);
    case 'KeyofType':
      return enumeration(codec.keys);
    default:
      throw new TypeError(`only a struct or an enum can be a named varlink type, not ${declared.name}`);
  }
}

function struct(fields: Fields, names: TypeNames): StructSyntax {
  return {
    kind: 'struct',
    fields: Object.entries(fields).map(([name, { codec, optional, description }]): FieldSyntax => {
      requireName('field', name);
      const of = typeOf(codec, names);
      // `??int` is not allowed, nor needed.
      return { name, description, type: optional && of.kind !== 'nullable' ? { kind: 'nullable', of } : of };
    }),
  };
}

/** A value's description is what its key has in the codec, if that is a text. */
function enumeration(keys: Readonly<Record<string, unknown>>): EnumSyntax {
  return {
    kind: 'enum',
    values: Object.entries(keys).map(([name, description]) => ({
      name: requireName('enum value', name),
      description: typeof description === 'string' ? description : undefined,
    })),
  };
}

function typeOf(declared: t.Mixed, names: TypeNames): TypeSyntax {
  const name = names.get(declared);
  if (name !== undefined) return { kind: 'named', name };
  const codec = varlinkCodec(declared);
  switch (codec._tag) {
    case 'IntType':
    case 'IntRangeType':
      return { kind: 'int' };
    case 'StringType':
      return { kind: 'string' };
    case 'NumberType':
      return { kind: 'float' };
    case 'BooleanType':
      return { kind: 'bool' };
    case 'AnyDictionaryType':
      return { kind: 'object' };
    case 'AnyValueType':
      return { kind: 'any' };
    case 'KeyofType':
      return enumeration(codec.keys);
    case 'StructType':
      return struct(codec.fields, names);
    case 'ArrayType':
      return { kind: 'array', of: typeOf(codec.type, names) };
    case 'DictionaryType':
      if (varlinkCodec(codec.domain)._tag !== 'StringType') break;
      return { kind: 'map', of: typeOf(codec.codomain, names) };
    case 'UnionType':
      return nullableType(codec, names);
  }
  throw new TypeError(`varlink has no type for ${declared.name}`);
}

/** Of the unions only those with null have a type, and only once. */
function nullableType(
  { name, types: [one, nothing, ...others] }: t.UnionType<t.Mixed[]>,
  names: TypeNames,
): TypeSyntax {
  if (one !== undefined && nothing !== undefined && varlinkCodec(nothing)._tag === 'NullType' && others.length === 0) {
    const of = typeOf(one, names);
    if (of.kind !== 'nullable') return { kind: 'nullable', of };
  }
  throw new TypeError(`varlink has no type for ${name}`);
}

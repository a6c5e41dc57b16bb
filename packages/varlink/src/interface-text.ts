import type * as t from 'io-ts';
import { varlinkCodec } from './codec-kind.js';
import type { ErrorDeclarations, InterfaceDeclaration, MethodDeclaration, MethodDeclarations } from './interface.js';
import type { Fields } from './struct.js';

/** What ends a line, and so a comment, in the grammar. */
const LINE_END = /\r\n|[\n\r\u2028\u2029]/;

// The grammar of varlink.org/Interface-Definition.
const INTERFACE_NAME = /^[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+$/;
const MEMBER_NAME = /^[A-Z][A-Za-z0-9]*$/;
const FIELD_NAME = /^[A-Za-z](_?[A-Za-z0-9])*$/;

/** The name that a declared type's codec goes by. */
type TypeNames = ReadonlyMap<t.Mixed, string>;

/** The text of an interface; throws a TypeError that names what the definition language does not allow. */
export function interfaceText(declaration: InterfaceDeclaration<MethodDeclarations, ErrorDeclarations>): string {
  const { name, description, types = {}, methods = {}, errors = {} } = declaration;
  requireName(INTERFACE_NAME, 'interface', name);
  requireUnique(name, [...Object.keys(types), ...Object.keys(methods), ...Object.keys(errors)]);
  const names: TypeNames = new Map(Object.entries(types).map(([key, { codec }]) => [codec, key]));
  const members = [
    ...Object.entries(types).map(
      ([key, type]) => `${comment(type.description)}type ${memberName(key)} ${definition(type.codec, names)}`,
    ),
    ...Object.entries(methods).map(([key, method]) => methodText(memberName(key), method, names)),
    ...Object.entries(errors).map(
      ([key, error]) =>
        `${comment(error.description)}error ${memberName(key)} ${fieldsText(error.fields ?? {}, names)}`,
    ),
  ];
  return [`${comment(description)}interface ${name}`, ...members].map((part) => `${part}\n`).join('\n');
}

function methodText(
  key: string,
  { description, parameters, reply, more }: MethodDeclaration,
  names: TypeNames,
): string {
  // systemd's own interfaces say it in these words.
  const flag =
    more === undefined || more === false ? undefined : `[${more === true ? 'Supports' : 'Requires'} 'more' flag]`;
  const text = [flag, description].filter((line) => line !== undefined).join('\n');
  return `${comment(text)}method ${key}${fieldsText(parameters ?? {}, names)} -> ${fieldsText(reply ?? {}, names)}`;
}

function requireName(grammar: RegExp, kind: string, name: string): string {
  if (!grammar.test(name)) throw new TypeError(`'${name}' is no valid name of a varlink ${kind}`);
  return name;
}

function memberName(name: string): string {
  return requireName(MEMBER_NAME, 'type, method or error', name);
}

function requireUnique(where: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new TypeError(`${where} declares '${twice}' twice: types, methods and errors share names`);
}

function comment(text: string | undefined, indent = ''): string {
  if (text === undefined || text === '') return '';
  return text
    .split(LINE_END)
    .map((line) => `${`${indent}# ${line}`.trimEnd()}\n`)
    .join('');
}

function fieldsText(fields: Fields, names: TypeNames): string {
  const lines = Object.entries(fields).map(([name, { codec, optional, description }]) => {
    requireName(FIELD_NAME, 'field', name);
    const type = typeText(codec, names);
    // `??int` is not allowed, nor needed.
    return `${comment(description, '  ')}  ${name}: ${optional && !type.startsWith('?') ? `?${type}` : type}`;
  });
  return lines.length === 0 ? '()' : `(\n${lines.join(',\n')}\n)`;
}

/** What follows the name in a type's own declaration. */
function definition(declared: t.Mixed, names: TypeNames): string {
  const codec = varlinkCodec(declared);
  switch (codec._tag) {
    case 'RecursiveType':
      return definition(codec.runDefinition(), names);
    case 'StructType':
      return fieldsText(codec.fields, names);
    case 'KeyofType':
      return enumText(codec.keys);
    default:
      throw new TypeError(`only a struct or an enum can be a named varlink type, not ${declared.name}`);
  }
}

function enumText(keys: Readonly<Record<string, unknown>>): string {
  return `(${Object.keys(keys)
    .map((key) => requireName(FIELD_NAME, 'enum value', key))
    .join(', ')})`;
}

function inlineStruct(fields: Fields, names: TypeNames): string {
  const parts = Object.entries(fields).map(([name, { codec, optional }]) => {
    const type = typeText(codec, names);
    return `${requireName(FIELD_NAME, 'field', name)}: ${optional && !type.startsWith('?') ? `?${type}` : type}`;
  });
  return `(${parts.join(', ')})`;
}

function typeText(declared: t.Mixed, names: TypeNames): string {
  const name = names.get(declared);
  if (name !== undefined) return name;
  const codec = varlinkCodec(declared);
  switch (codec._tag) {
    case 'IntType':
    case 'IntRangeType':
      return 'int';
    case 'StringType':
      return 'string';
    case 'NumberType':
      return 'float';
    case 'BooleanType':
      return 'bool';
    case 'AnyDictionaryType':
      return 'object';
    case 'KeyofType':
      return enumText(codec.keys);
    case 'StructType':
      return inlineStruct(codec.fields, names);
    case 'ArrayType':
      return `[]${typeText(codec.type, names)}`;
    case 'DictionaryType':
      if (varlinkCodec(codec.domain)._tag !== 'StringType') break;
      return `[string]${typeText(codec.codomain, names)}`;
    case 'UnionType':
      return nullableText(codec, names);
  }
  throw new TypeError(`varlink has no type for ${declared.name}`);
}

/** Of the unions only those with null have a type, and only once. */
function nullableText({ name, types: [of, nothing, ...others] }: t.UnionType<t.Mixed[]>, names: TypeNames): string {
  if (of !== undefined && nothing !== undefined && varlinkCodec(nothing)._tag === 'NullType' && others.length === 0) {
    const type = typeText(of, names);
    if (!type.startsWith('?')) return `?${type}`;
  }
  throw new TypeError(`varlink has no type for ${name}`);
}

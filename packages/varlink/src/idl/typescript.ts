import { checkObject } from '@sdrx/linux';
import type {
  EnumSyntax,
  ErrorMember,
  FieldSyntax,
  InterfaceSyntax,
  MethodMember,
  StructSyntax,
  TypeMember,
  TypeSyntax,
} from './syntax.js';
import { recursiveTypes, typesInOrder } from './type-order.js';
import { constantName, key, quoted } from './typescript-names.js';

/** See `typescriptOf`. */
export interface TypescriptOptions {
  /** The name of the constant; by default it is made of what follows the last dot of the interface's name: `journalAccess`. */
  readonly name?: string | undefined;
}

/** Codecs of this package, by the types they are for. */
const CODECS = {
  bool: 'bool',
  int: 'int',
  float: 'float',
  string: 'string',
  object: 'foreignObject',
  any: 'anyValue',
} as const;

/** The TypeScript types of what they let through. */
const TYPES = {
  bool: 'boolean',
  int: 'number',
  float: 'number',
  string: 'string',
  object: '{ [key: string]: unknown }',
  any: 'unknown',
} as const;

const INDENT = '  ';

/**
 * A TypeScript module that declares an interface, for typed calls and handlers: what `varlink2ts` writes. It exports the
 * interface, and each of its types as a codec and a type of one name.
 *
 * @param syntax as parseInterface() gives it
 * @throws TypeError for a name that can't be a constant's, and for a type that the interface uses and has not
 */
export function typescriptOf(syntax: InterfaceSyntax, options: TypescriptOptions = {}): string {
  checkObject('syntax', syntax);
  checkObject('options', options);
  const constant = constantName(syntax, options.name);
  const types = syntax.members.filter((member) => member.kind === 'type');
  const module = new Module(types);
  const parts = [...typesInOrder(types).map((type) => module.type(type)), module.interface(syntax, constant)];
  return [`${module.imports()}\n`, ...parts].join('\n');
}

/** The parts of a module; it remembers what they import. */
class Module {
  readonly #types: ReadonlySet<string>;
  readonly #recursive: ReadonlySet<string>;
  readonly #used = new Set(['varlinkInterface']);
  #usesIoTs = false;

  constructor(types: readonly TypeMember[]) {
    this.#types = new Set(types.map(({ name }) => name));
    this.#recursive = recursiveTypes(types);
  }

  /** To be asked for after the other parts. */
  imports(): string {
    const own = `import { ${[...this.#used].sort().join(', ')} } from '@sdrx/varlink';`;
    return this.#usesIoTs ? `${own}\nimport * as t from 'io-ts';` : own;
  }

  type({ name, description, definition }: TypeMember): string {
    const docs = docstring(description);
    const codec = this.#codec(definition, '');
    if (definition.kind === 'struct' && this.#recursive.has(name)) {
      // TypeScript can't infer the type of what contains itself.
      const { fields } = definition;
      const shape = `${docs}export interface ${name} ${this.#shape(fields, '')}`;
      return `${shape}\n${docs}export const ${name}: t.Type<${name}> = ${this.#ioTs('recursion')}('${name}', () => ${codec});\n`;
    }
    const type = `${docs}export type ${name} = ${this.#ioTs('TypeOf')}<typeof ${name}>;`;
    return `${docs}export const ${name} = ${codec};\n${type}\n`;
  }

  interface({ name, description, members }: InterfaceSyntax, constant: string): string {
    const named = (kind: string, lines: readonly string[]) =>
      lines.length === 0 ? [] : [`${kind}: ${block(lines, INDENT)}`];
    const types = members.filter((member) => member.kind === 'type');
    const methods = members.filter((member) => member.kind === 'method');
    const errors = members.filter((member) => member.kind === 'error');
    const lines = [
      `name: ${quoted(name)}`,
      ...told(description),
      ...named(
        'types',
        types.map(({ name, description }) => {
          return `${name}: { ${[...told(description), `codec: ${name}`].join(', ')} }`;
        }),
      ),
      ...named(
        'methods',
        methods.map((method) => this.#method(method)),
      ),
      ...named(
        'errors',
        errors.map((error) => this.#error(error)),
      ),
    ];
    return `${docstring(description)}export const ${constant} = varlinkInterface(${block(lines, '')});\n`;
  }

  #method({ name, description, more = false, upgrade = false, parameters, reply }: MethodMember): string {
    const indent = INDENT + INDENT;
    return `${name}: ${block(
      [
        ...told(description),
        ...flag('more', more),
        ...flag('upgrade', upgrade),
        ...this.#fields('parameters', parameters, indent + INDENT),
        ...this.#fields('reply', reply, indent + INDENT),
      ],
      indent,
    )}`;
  }

  #error({ name, description, fields }: ErrorMember): string {
    const indent = INDENT + INDENT;
    return `${name}: ${block([...told(description), ...this.#fields('fields', fields, indent + INDENT)], indent)}`;
  }

  #fields(name: string, struct: StructSyntax, indent: string): string[] {
    return struct.fields.length === 0 ? [] : [`${name}: ${this.#fieldsOf(struct, indent)}`];
  }

  #fieldsOf({ fields }: StructSyntax, indent: string): string {
    return block(
      fields.map((field) => `${key(field.name)}: ${this.#field(field, indent + INDENT)}`),
      indent,
    );
  }

  #field({ description, type }: FieldSyntax, indent: string): string {
    const of = type.kind === 'nullable' ? type.of : type;
    const made = this.#own(type.kind === 'nullable' ? 'optional' : 'field');
    const comment = description === undefined || description === '' ? '' : `, ${quoted(description)}`;
    return `${made}(${this.#codec(of, indent)}${comment})`;
  }

  #codec(type: TypeSyntax, indent: string): string {
    switch (type.kind) {
      case 'named':
        return this.#named(type.name);
      case 'array':
        return `${this.#ioTs('array')}(${this.#codec(type.of, indent)})`;
      case 'map':
        return `${this.#ioTs('record')}(t.string, ${this.#codec(type.of, indent)})`;
      case 'nullable':
        return `${this.#own('nullable')}(${this.#codec(type.of, indent)})`;
      case 'struct':
        return `${this.#own('struct')}(${this.#fieldsOf(type, indent)})`;
      case 'enum':
        return `${this.#ioTs('keyof')}(${enumKeys(type, indent)})`;
      default:
        return this.#own(CODECS[type.kind]);
    }
  }

  /** The TypeScript type of what a codec lets through. */
  #typeOf(type: TypeSyntax, indent: string): string {
    switch (type.kind) {
      case 'named':
        return this.#named(type.name);
      case 'array':
        return `Array<${this.#typeOf(type.of, indent)}>`;
      case 'map':
        return `{ [key: string]: ${this.#typeOf(type.of, indent)} }`;
      case 'nullable':
        return `${this.#typeOf(type.of, indent)} | null`;
      case 'struct':
        return this.#shape(type.fields, indent);
      case 'enum':
        return type.values.map(({ name }) => quoted(name)).join(' | ');
      default:
        return TYPES[type.kind];
    }
  }

  #shape(fields: readonly FieldSyntax[], indent: string): string {
    const within = indent + INDENT;
    const lines = fields.map(({ name, description, type }) => {
      const docs = docstring(description).replaceAll('\n', `\n${within}`);
      const property = `${docs}readonly ${key(name)}`;
      return type.kind === 'nullable'
        ? `${property}?: ${this.#typeOf(type.of, within)} | undefined`
        : `${property}: ${this.#typeOf(type, within)}`;
    });
    return lines.length === 0 ? '{}' : `{\n${lines.map((line) => `${within}${line};\n`).join('')}${indent}}`;
  }

  #named(name: string): string {
    if (!this.#types.has(name)) throw new TypeError(`the interface has no type '${name}'`);
    return name;
  }

  #own(name: string): string {
    this.#used.add(name);
    return name;
  }

  #ioTs(name: string): string {
    this.#usesIoTs = true;
    return `t.${name}`;
  }
}

function enumKeys({ values }: EnumSyntax, indent: string): string {
  const keys = values.map(
    ({ name, description }) => `${key(name)}: ${isEmpty(description) ? 'null' : quoted(description)}`,
  );
  const described = values.some(({ description }) => !isEmpty(description));
  return described ? block(keys, indent) : `{ ${keys.join(', ')} }`;
}

function flag(name: string, value: boolean | 'required'): string[] {
  return value === false ? [] : [`${name}: ${value === true ? 'true' : "'required'"}`];
}

function told(description: string | undefined): string[] {
  return isEmpty(description) ? [] : [`description: ${quoted(description)}`];
}

function isEmpty(description: string | undefined): description is undefined | '' {
  return description === undefined || description === '';
}

function block(lines: readonly string[], indent: string): string {
  return lines.length === 0 ? '{}' : `{\n${lines.map((line) => `${indent}${INDENT}${line},\n`).join('')}${indent}}`;
}

/** With the end of its line; nothing where there is nothing to say. */
function docstring(description: string | undefined): string {
  if (isEmpty(description)) return '';
  const lines = description.replaceAll('*/', '*\\/').split(/\r\n|[\n\r\u2028\u2029]/);
  if (lines.length === 1) return `/** ${lines[0]} */\n`;
  return `/**\n${lines.map((line) => `${` * ${line}`.trimEnd()}\n`).join('')} */\n`;
}

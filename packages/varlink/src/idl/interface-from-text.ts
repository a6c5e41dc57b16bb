import * as t from 'io-ts';
import { anyValue, bool, float, foreignObject, int, nullable, string } from '../codecs.js';
import {
  type AnyInterface,
  type ErrorDeclarations,
  type ErrorKind,
  type Method,
  type MethodDeclarations,
  type TypeDeclarations,
  varlinkInterface,
} from '../interface.js';
import { type Field, type Fields, field, optional, struct } from '../struct.js';
import { parseInterface } from './parse-interface.js';
import type { EnumSyntax, StructSyntax, TypeMember, TypeSyntax } from './syntax.js';

/** An interface of whose types TypeScript knows nothing. */
export interface InterfaceFromText extends AnyInterface {
  readonly methods: Readonly<Record<string, Method>>;
  readonly errors: Readonly<Record<string, ErrorKind>>;
}

/**
 * An interface whose text is known only when the program runs, such as one that a service has told: its methods can be called,
 * and what comes and goes is checked, but TypeScript knows nothing of it. `varlink2ts` makes a declaration with types.
 *
 * @param text in the definition language, as GetInterfaceDescription gives it
 * @returns the interface; its text is that of `printInterface`
 * @throws InterfaceSyntaxError with line and column; TypeError for a type that the text does not declare, and for no string
 */
export function interfaceFromText(text: string): InterfaceFromText {
  const { name, description, members } = parseInterface(text);
  const codecs = new Codecs(members.filter((member) => member.kind === 'type'));
  const types: Record<string, TypeDeclarations[string]> = {};
  const methods: Record<string, MethodDeclarations[string]> = {};
  const errors: Record<string, ErrorDeclarations[string]> = {};
  for (const member of members) {
    const { description } = member;
    switch (member.kind) {
      case 'type':
        types[member.name] = { ...described(description), codec: codecs.named(member.name) };
        break;
      case 'method': {
        const { more = false, upgrade = false } = member;
        const parameters = codecs.fields(member.parameters);
        const reply = codecs.fields(member.reply);
        methods[member.name] = { ...described(description), more, upgrade, parameters, reply };
        break;
      }
      case 'error':
        errors[member.name] = { ...described(description), fields: codecs.fields(member.fields) };
        break;
    }
  }
  return varlinkInterface({ name, ...described(description), types, methods, errors }) as InterfaceFromText;
}

function described(description: string | undefined): { description?: string } {
  return description === undefined ? {} : { description };
}

/** The codecs of the types of one interface. */
class Codecs {
  readonly #members: ReadonlyMap<string, TypeMember>;
  readonly #named = new Map<string, t.Mixed>();

  constructor(members: readonly TypeMember[]) {
    this.#members = new Map(members.map((member) => [member.name, member]));
  }

  /** One that may be referred to before it is complete, as types may contain each other. */
  named(name: string): t.Mixed {
    let codec = this.#named.get(name);
    if (codec === undefined) {
      const member = this.#members.get(name);
      if (member === undefined) throw new TypeError(`the interface has no type '${name}'`);
      codec = t.recursion<unknown>(name, () => this.#definition(member.definition));
      this.#named.set(name, codec);
    }
    return codec;
  }

  fields({ fields }: StructSyntax): Fields {
    return Object.fromEntries(fields.map(({ name, description, type }) => [name, this.#field(type, description)]));
  }

  #field(type: TypeSyntax, description: string | undefined): Field {
    return type.kind === 'nullable'
      ? optional(this.#codec(type.of), description)
      : field(this.#codec(type), description);
  }

  #definition(syntax: StructSyntax | EnumSyntax): t.Mixed {
    if (syntax.kind === 'struct') return struct(this.fields(syntax));
    return t.keyof(Object.fromEntries(syntax.values.map(({ name, description }) => [name, description ?? null])));
  }

  #codec(type: TypeSyntax): t.Mixed {
    switch (type.kind) {
      case 'bool':
        return bool;
      case 'int':
        return int;
      case 'float':
        return float;
      case 'string':
        return string;
      case 'object':
        return foreignObject;
      case 'any':
        return anyValue;
      case 'named':
        return this.named(type.name);
      case 'array':
        return t.array(this.#codec(type.of));
      case 'map':
        return t.record(t.string, this.#codec(type.of));
      case 'nullable':
        return nullable(this.#codec(type.of));
      case 'struct':
      case 'enum':
        return this.#definition(type);
    }
  }
}

import { requireText } from '../arguments.js';
import { readFlags } from './method-flags.js';
import { type Named, requireName } from './names.js';
import { Scanner } from './scanner.js';
import type {
  EnumSyntax,
  EnumValueSyntax,
  FieldSyntax,
  InterfaceSyntax,
  MemberSyntax,
  StructSyntax,
  TypeSyntax,
} from './syntax.js';

/** How deep types may be in one another; a text comes from anybody, and must not exhaust the stack. */
const MAX_DEPTH = 64;

const PLAIN = ['bool', 'int', 'float', 'string', 'object', 'any'] as const;

/**
 * Reads the text of an interface in the definition language, with what systemd 262 has besides: the type `any`, and values of
 * enums with dashes. varlink.org/Interface-Definition
 *
 * @param text such as GetInterfaceDescription gives
 * @throws InterfaceSyntaxError with line and column; TypeError for what is no string
 */
export function parseInterface(text: string): InterfaceSyntax {
  requireText(text, 'text');
  return new Parser(text).interface();
}

class Parser {
  readonly #scanner: Scanner;
  #depth = 0;

  constructor(text: string) {
    this.#scanner = new Scanner(text);
  }

  interface(): InterfaceSyntax {
    const { description } = this.#scanner.token;
    this.#scanner.require('interface');
    const name = this.#name('interface');
    const members: MemberSyntax[] = [];
    const names = new Set<string>();
    while (this.#scanner.token.text !== '') members.push(this.#member(names));
    return { name, description, members };
  }

  #member(names: Set<string>): MemberSyntax {
    const { text: kind, description } = this.#scanner.token;
    if (kind !== 'type' && kind !== 'method' && kind !== 'error')
      throw this.#scanner.expected("'type', 'method' or 'error'");
    this.#scanner.take();
    this.#requireNew(names);
    const name = this.#name('member');
    switch (kind) {
      case 'type':
        return { kind, name, description, definition: this.#composed() };
      case 'error':
        return { kind, name, description, fields: this.#struct() };
      case 'method': {
        const parameters = this.#struct();
        this.#scanner.require('->');
        return { kind, name, ...readFlags(description), parameters, reply: this.#struct() };
      }
    }
  }

  #type(): TypeSyntax {
    if (++this.#depth > MAX_DEPTH)
      throw this.#scanner.error(`types nested more than ${MAX_DEPTH} deep`, this.#scanner.token.at);
    try {
      return this.#typeWithin();
    } finally {
      this.#depth--;
    }
  }

  #typeWithin(): TypeSyntax {
    const { text, at } = this.#scanner.token;
    switch (text) {
      case '?': {
        this.#scanner.take();
        if (this.#scanner.token.text === '?') throw this.#scanner.error("'??' is no type", at);
        return { kind: 'nullable', of: this.#type() };
      }
      case '[]':
        this.#scanner.take();
        return { kind: 'array', of: this.#type() };
      case '[string]':
        this.#scanner.take();
        return { kind: 'map', of: this.#type() };
      case '(':
        return this.#composed();
    }
    const kind = PLAIN.find((plain) => plain === text);
    if (kind !== undefined) {
      this.#scanner.take();
      return { kind };
    }
    if (!/^[A-Z]/.test(text)) throw this.#scanner.expected('a type');
    return { kind: 'named', name: this.#name('member') };
  }

  #struct(): StructSyntax {
    const { at } = this.#scanner.token;
    const composed = this.#composed();
    if (composed.kind === 'enum') throw this.#scanner.error('fields need types', at);
    return composed;
  }

  /** A struct or an enum: what follows the first name tells. */
  #composed(): StructSyntax | EnumSyntax {
    this.#scanner.require('(');
    const fields: FieldSyntax[] = [];
    const values: EnumValueSyntax[] = [];
    const names = new Set<string>();
    if (this.#scanner.takeIf(')')) return { kind: 'struct', fields };
    do {
      const { text: name, at, description } = this.#scanner.token;
      this.#requireNew(names);
      this.#requireWord();
      this.#scanner.take();
      const isField = values.length === 0 && (fields.length > 0 || this.#scanner.token.text === ':');
      this.#checkName(isField ? 'field' : 'enum value', name, at);
      if (isField) {
        this.#scanner.require(':');
        fields.push({ name, description, type: this.#type() });
      } else {
        values.push({ name, description });
      }
    } while (this.#scanner.takeIf(','));
    if (!this.#scanner.takeIf(')')) throw this.#scanner.expected("',' or ')'");
    return values.length > 0 ? { kind: 'enum', values } : { kind: 'struct', fields };
  }

  #name(kind: Named): string {
    const { text, at } = this.#scanner.token;
    this.#requireWord();
    this.#checkName(kind, text, at);
    return this.#scanner.take().text;
  }

  #requireWord(): void {
    if (!/^[A-Za-z0-9]/.test(this.#scanner.token.text)) throw this.#scanner.expected('a name');
  }

  #requireNew(names: Set<string>): void {
    const { text, at } = this.#scanner.token;
    if (names.has(text)) throw this.#scanner.error(`'${text}' is declared twice`, at);
    names.add(text);
  }

  #checkName(kind: Named, name: string, at: number): void {
    try {
      requireName(kind, name);
    } catch (error) {
      throw this.#scanner.error((error as Error).message, at);
    }
  }
}

import { checkObject } from '@sdrx/linux';
import { methodComment } from './method-flags.js';
import type { EnumSyntax, InterfaceSyntax, MemberSyntax, StructSyntax, TypeSyntax } from './syntax.js';

/** What ends a line, and so a comment, in the grammar. */
const LINE_END = /\r\n|[\n\r\u2028\u2029]/;

const INDENT = '  ';

/**
 * The text of an interface in the definition language: what parseInterface() reads it as is the same again.
 *
 * @param syntax as parseInterface() gives it
 * @throws TypeError for what is no object
 */
export function printInterface(syntax: InterfaceSyntax): string {
  checkObject('syntax', syntax);
  const { name, description, members } = syntax;
  const parts = [`${comment(description, '')}interface ${name}`, ...members.map(memberText)];
  return parts.map((part) => `${part}\n`).join('\n');
}

function memberText(member: MemberSyntax): string {
  switch (member.kind) {
    case 'type':
      return `${comment(member.description, '')}type ${member.name} ${topLevel(member.definition)}`;
    case 'error':
      return `${comment(member.description, '')}error ${member.name} ${topLevel(member.fields)}`;
    case 'method': {
      const signature = `${member.name}${topLevel(member.parameters)} -> ${topLevel(member.reply)}`;
      return `${comment(methodComment(member), '')}method ${signature}`;
    }
  }
}

/** A struct of a member has a line for each field; an enum only if it has comments. */
function topLevel(syntax: StructSyntax | EnumSyntax): string {
  return syntax.kind === 'enum' ? enumText(syntax, '') : lines(syntax.fields.map(fieldIn(INDENT)), '');
}

function typeText(type: TypeSyntax, indent: string): string {
  switch (type.kind) {
    case 'named':
      return type.name;
    case 'array':
      return `[]${typeText(type.of, indent)}`;
    case 'map':
      return `[string]${typeText(type.of, indent)}`;
    case 'nullable':
      return `?${typeText(type.of, indent)}`;
    case 'enum':
      return enumText(type, indent);
    case 'struct':
      return structText(type, indent);
    default:
      return type.kind;
  }
}

/** In one line, unless a comment needs one of its own. */
function structText(struct: StructSyntax, indent: string): string {
  if (hasComments(struct)) return lines(struct.fields.map(fieldIn(indent + INDENT)), indent);
  return `(${struct.fields.map(({ name, type }) => `${name}: ${typeText(type, indent)}`).join(', ')})`;
}

function fieldIn(indent: string): (field: StructSyntax['fields'][number]) => string {
  return ({ name, description, type }) => `${comment(description, indent)}${indent}${name}: ${typeText(type, indent)}`;
}

function enumText({ values }: EnumSyntax, indent: string): string {
  if (values.every(({ description }) => isEmpty(description))) return `(${values.map(({ name }) => name).join(', ')})`;
  const within = indent + INDENT;
  return lines(
    values.map(({ name, description }) => `${comment(description, within)}${within}${name}`),
    indent,
  );
}

function lines(parts: readonly string[], indent: string): string {
  return parts.length === 0 ? '()' : `(\n${parts.join(',\n')}\n${indent})`;
}

/** Whether there is a comment anywhere within a type. */
function hasComments(type: TypeSyntax): boolean {
  switch (type.kind) {
    case 'array':
    case 'map':
    case 'nullable':
      return hasComments(type.of);
    case 'enum':
      return type.values.some(({ description }) => !isEmpty(description));
    case 'struct':
      return type.fields.some((field) => !isEmpty(field.description) || hasComments(field.type));
    default:
      return false;
  }
}

function isEmpty(description: string | undefined): boolean {
  return description === undefined || description === '';
}

function comment(text: string | undefined, indent: string): string {
  if (text === undefined || text === '') return '';
  return text
    .split(LINE_END)
    .map((line) => `${`${indent}# ${line}`.trimEnd()}\n`)
    .join('');
}

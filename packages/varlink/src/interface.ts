import { checkObject } from '@sdrx/linux';
import type * as t from 'io-ts';
import { requireCodec, requireText, shown } from './arguments.js';
import { declaredSyntax } from './declared-syntax.js';
import { printInterface } from './idl/print-interface.js';
import { type Fields, requireFields, StructType, type ValuesOf } from './struct.js';
import { isVarlinkError, VarlinkError } from './varlink-error.js';

export interface MethodDeclaration {
  readonly description?: string;
  readonly parameters?: Fields;
  readonly reply?: Fields;
  /** Whether it may give several replies to a call with `more`, or `required` if it can't be called without. */
  readonly more?: boolean | 'required';
  /** Whether the connection may speak another protocol after the reply to a call with `upgrade`, or `required` if it can't be called without. */
  readonly upgrade?: boolean | 'required';
}

export interface ErrorDeclaration {
  readonly description?: string;
  readonly fields?: Fields;
}

export interface TypeDeclaration {
  readonly description?: string;
  /** A struct, an enum (`t.keyof`) or a `t.recursive` of one of them. Other declarations refer to it by using this codec. */
  readonly codec: t.Mixed;
}

export type MethodDeclarations = Readonly<Record<string, MethodDeclaration>>;
export type ErrorDeclarations = Readonly<Record<string, ErrorDeclaration>>;
export type TypeDeclarations = Readonly<Record<string, TypeDeclaration>>;

/** What an interface is made of; see `varlinkInterface`. */
export interface InterfaceDeclaration<M extends MethodDeclarations, E extends ErrorDeclarations> {
  /** In reverse domain notation, as `io.systemd.NamespaceResource`. */
  readonly name: string;
  readonly description?: string;
  readonly types?: TypeDeclarations;
  readonly methods?: M;
  readonly errors?: E;
}

/** A method, where the types of its fields do not matter. */
export interface AnyMethod {
  /** With its interface: `io.systemd.UserDatabase.GetUserRecord`. */
  readonly name: string;
  readonly more: boolean | 'required';
  readonly upgrade: boolean | 'required';
  readonly parameters: t.Decoder<unknown, object>;
  readonly reply: t.Decoder<unknown, object>;
}

/** A method, as server and client use it. */
export interface Method<P extends Fields = Fields, R extends Fields = Fields> extends AnyMethod {
  readonly parameters: StructType<P>;
  readonly reply: StructType<R>;
}

/** Makes an error of this kind; `is` tells whether something thrown is one. */
export interface ErrorKind<F extends Fields = Fields> {
  (...parameters: keyof F extends never ? [] : [ValuesOf<F>]): VarlinkError;
  /** With its interface: `io.systemd.UserDatabase.NoRecordFound`. */
  readonly error: string;
  is(thrown: unknown): thrown is VarlinkError;
}

type NoFields = Record<never, never>;
type ParametersOf<D> = D extends { parameters: infer P extends Fields } ? P : NoFields;
type ReplyOf<D> = D extends { reply: infer R extends Fields } ? R : NoFields;
type FieldsOf<D> = D extends { fields: infer F extends Fields } ? F : NoFields;

/** An interface, where the types of its methods do not matter. */
export interface AnyInterface {
  readonly name: string;
  /** Its description in the Varlink interface definition language. varlink.org/Interface-Definition */
  readonly text: string;
  readonly methods: Readonly<Record<string, AnyMethod>>;
}

/** An interface, as `varlinkInterface` declares it. */
export interface VarlinkInterface<M extends MethodDeclarations, E extends ErrorDeclarations> extends AnyInterface {
  readonly methods: { readonly [K in keyof M]: Method<ParametersOf<M[K]>, ReplyOf<M[K]>> };
  readonly errors: { readonly [K in keyof E]: ErrorKind<FieldsOf<E[K]>> };
}

/**
 * Declares an interface once, for the static types, for the validation of what comes in, and for the text that
 * GetInterfaceDescription gives.
 * @throws a TypeError that names what the definition language does not allow: a name, or a codec without a Varlink type; and a
 * TypeError that names what is no declaration at all
 */
export function varlinkInterface<const M extends MethodDeclarations, const E extends ErrorDeclarations>(
  declaration: InterfaceDeclaration<M, E>,
): VarlinkInterface<M, E> {
  requireDeclaration(declaration);
  const { name, methods = {}, errors = {} } = declaration;
  const text = printInterface(declaredSyntax(declaration));
  return {
    name,
    text,
    methods: mapEntries<MethodDeclaration, Method>(methods, (key, method) => declareMethod(`${name}.${key}`, method)),
    errors: mapEntries<ErrorDeclaration, ErrorKind>(errors, (key) => declareError(`${name}.${key}`)),
  } as unknown as VarlinkInterface<M, E>;
}

function requireDeclaration(declaration: InterfaceDeclaration<MethodDeclarations, ErrorDeclarations>): void {
  checkObject('declaration', declaration);
  const { name, description, types = {}, methods = {}, errors = {} } = declaration;
  requireText(name, 'name');
  requireDescription(description, '');
  checkObject('types', types);
  checkObject('methods', methods);
  checkObject('errors', errors);
  for (const [key, type] of Object.entries(types)) {
    checkObject(`types.${key}`, type);
    requireDescription(type.description, `types.${key}.`);
    requireCodec(type.codec, `types.${key}.codec`);
  }
  for (const [key, method] of Object.entries(methods)) {
    checkObject(`methods.${key}`, method);
    requireDescription(method.description, `methods.${key}.`);
    requireFields(method.parameters ?? {}, `methods.${key}.parameters`);
    requireFields(method.reply ?? {}, `methods.${key}.reply`);
    for (const flag of ['more', 'upgrade'] as const) {
      if ([true, false, undefined, 'required'].includes(method[flag])) continue;
      throw new TypeError(`\`methods.${key}.${flag}\` must be a boolean or 'required', not ${shown(method[flag])}`);
    }
  }
  for (const [key, error] of Object.entries(errors)) {
    checkObject(`errors.${key}`, error);
    requireDescription(error.description, `errors.${key}.`);
    requireFields(error.fields ?? {}, `errors.${key}.fields`);
  }
}

function requireDescription(description: unknown, where: string): void {
  if (description !== undefined) requireText(description, `${where}description`);
}

function mapEntries<D, T>(entries: Readonly<Record<string, D>>, make: (key: string, entry: D) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(entries).map(([key, entry]) => [key, make(key, entry)]));
}

function declareMethod(
  name: string,
  { parameters = {}, reply = {}, more = false, upgrade = false }: MethodDeclaration,
): Method {
  return { name, more, upgrade, parameters: new StructType(parameters), reply: new StructType(reply, { open: true }) };
}

function declareError(error: string): ErrorKind {
  const make = (parameters?: Readonly<Record<string, unknown>>) => VarlinkError.asAnswer(error, parameters);
  const is = (thrown: unknown): thrown is VarlinkError => isVarlinkError(thrown) && thrown.error === error;
  return Object.assign(make, { error, is });
}

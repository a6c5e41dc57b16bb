import { checkObject } from '@sdrx/linux';
import * as t from 'io-ts';
import { requireCodec, requireText } from './arguments.js';
import { receivedCodec } from './received-codec.js';

/** One named value of a method's parameters or reply, of an error or of a struct. */
export interface Field<C extends t.Mixed = t.Mixed, O extends boolean = boolean> {
  readonly codec: C;
  readonly optional: O;
  /** The comment above it in the interface's text. */
  readonly description: string | undefined;
}

export type Fields = Readonly<Record<string, Field>>;

/** The TypeScript type of an object with these fields. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F as F[K]['optional'] extends true ? never : K]: t.TypeOf<F[K]['codec']>;
} & {
  readonly [K in keyof F as F[K]['optional'] extends true ? K : never]?: t.TypeOf<F[K]['codec']> | undefined;
};

/** A field that must be there. @throws TypeError for what is no codec, or a description that is no text */
export function field<C extends t.Mixed>(codec: C, description?: string): Field<C, false> {
  requireCodec(codec, 'codec');
  if (description !== undefined) requireText(description, 'description');
  return { codec, optional: false, description };
}

/**
 * A field that may be missing or null, which is the same; it is never null once decoded. `?` in the interface's text.
 * @throws as `field`
 */
export function optional<C extends t.Mixed>(codec: C, description?: string): Field<C, true> {
  requireCodec(codec, 'codec');
  if (description !== undefined) requireText(description, 'description');
  return { codec, optional: true, description };
}

/** Keeps a JSON key such as `__proto__` from finding what no one declared. */
type FieldMap = ReadonlyMap<string, Pick<Field, 'codec' | 'optional'>>;

export interface StructOptions {
  /** Whether keys that are not declared are let through at any depth, as a client does with the reply of a newer server. */
  readonly open?: boolean;
}

/** The codec of an object with declared fields; a failure names the first field at fault in its context. */
export class StructType<F extends Fields = Fields> extends t.Type<ValuesOf<F>, ValuesOf<F>> {
  readonly _tag = 'StructType';
  readonly #open: boolean;

  /** @throws TypeError for what are no fields */
  constructor(
    readonly fields: F,
    { open = false }: StructOptions = {},
  ) {
    requireFields(fields, 'fields');
    const map: FieldMap = new Map(
      Object.entries(fields).map(([name, { codec, optional }]) => [
        name,
        { codec: receivedCodec(codec, open), optional },
      ]),
    );
    const required = Object.keys(fields).filter((name) => fields[name]?.optional === false);
    const validate = (u: unknown, context: t.Context) => decode<F>(map, required, open, u, context);
    super('struct', (u): u is ValuesOf<F> => validate(u, [])._tag === 'Right', validate, t.identity);
    this.#open = open;
  }

  /** The same, open or not. */
  received(open: boolean): StructType<F> {
    return open === this.#open ? this : new StructType(this.fields, { open });
  }
}

/** An object with these fields and no others. @throws TypeError for what are no fields */
export function struct<F extends Fields>(fields: F): StructType<F> {
  return new StructType(fields);
}

/** @throws TypeError that names what is not made by `field` or `optional` */
export function requireFields(fields: Fields, name: string): void {
  checkObject(name, fields);
  for (const [key, declared] of Object.entries(fields)) {
    checkObject(`${name}.${key}`, declared);
    requireCodec(declared.codec, `${name}.${key}.codec`);
    if (declared.description !== undefined) requireText(declared.description, `${name}.${key}.description`);
    if (typeof declared.optional !== 'boolean')
      throw new TypeError(`\`${name}.${key}\` must be made by field() or optional()`);
  }
}

/** The name of the field at fault, of a failed validation by a StructType. */
export function failedField(errors: t.Errors): string {
  return errors[0]?.context.at(-1)?.key ?? '';
}

/** The first field at fault in the order they came, then the first one missing: the order in which systemd looks. */
function decode<F extends Fields>(
  fields: FieldMap,
  required: readonly string[],
  open: boolean,
  u: unknown,
  context: t.Context,
): t.Validation<ValuesOf<F>> {
  if (!t.UnknownRecord.is(u)) return t.failure(u, context);
  let values = u;
  for (const name of Object.keys(u)) {
    const declared = fields.get(name);
    if (declared === undefined) {
      if (open) continue;
      return failure(name, t.never, u, context);
    }
    const value = u[name];
    // A copy only when something changes: as a rule nothing does.
    if (declared.optional && (value === null || value === undefined)) {
      if (values === u) values = { ...u };
      delete values[name];
      continue;
    }
    const result = declared.codec.validate(value, context);
    if (result._tag === 'Left') return failure(name, declared.codec, u, context);
    if (result.right !== value) {
      if (values === u) values = { ...u };
      values[name] = result.right;
    }
  }
  for (const name of required) {
    if (!Object.hasOwn(u, name)) return failure(name, t.never, u, context);
  }
  return t.success(values as ValuesOf<F>);
}

function failure<T>(name: string, type: t.Decoder<unknown, unknown>, u: Record<string, unknown>, context: t.Context) {
  return t.failure<T>(u[name], [...context, { key: name, type, actual: u[name] }]);
}

import type * as t from 'io-ts';
import { requireText } from './arguments.js';
import type { Method } from './interface.js';
import { type Field, StructType } from './struct.js';

/** Fields of any name and type. */
export type AnyFields = Readonly<Record<string, Field<t.UnknownC, false>>>;

/** A method of whose parameters and reply nothing is known. */
export type UntypedMethod = Method<AnyFields, AnyFields>;

const METHOD = /^[A-Za-z][A-Za-z0-9.-]*\.[A-Z][A-Za-z0-9]*$/;

/** Lets all members through. */
const anyFields = new StructType<AnyFields>({}, { open: true });

/**
 * A method that is called without a declaration, as by `varlinkctl call`: the service checks its parameters, nobody the reply. Its
 * integers are as those of `foreignObject`.
 *
 * @param name with its interface, as `io.systemd.Hostname.Describe`
 * @throws TypeError for what is no such name
 */
export function untypedMethod(name: string): UntypedMethod {
  requireText(name, 'name');
  if (!METHOD.test(name))
    throw new TypeError(`\`name\` must be a method with its interface, not ${JSON.stringify(name)}`);
  return { name, more: true, upgrade: true, parameters: anyFields, reply: anyFields };
}

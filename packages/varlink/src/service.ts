import { checkFunction, checkObject } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { requireText } from './arguments.js';
import type { Call } from './call.js';
import type { AnyInterface, AnyMethod, Method } from './interface.js';
import { systemdService, varlinkService } from './service-interface.js';
import type { Fields, ValuesOf } from './struct.js';

/** A method without reply fields may return nothing. */
// biome-ignore lint/suspicious/noConfusingVoidType: what a function without return statement returns
type Reply<R extends Fields> = keyof R extends never ? ValuesOf<R> | void : ValuesOf<R>;

/**
 * Answers a call: with a reply, a promise of one, or an Observable of one, or of several if `call.more`. Throws, rejects
 * or fails with a VarlinkError, which is sent; what else it throws becomes `io.systemd.System`.
 *
 * When the client goes away before the answer, an Observable is unsubscribed from; a promise is waited for all the same.
 */
export type Handler<P extends Fields = Fields, R extends Fields = Fields> = (
  parameters: ValuesOf<P>,
  call: Call<ValuesOf<R>>,
) => Reply<R> | Promise<Reply<R>> | Observable<ValuesOf<R>>;

/** The handlers of an interface's methods; one that is left out answers MethodNotImplemented. */
export type HandlersOf<I extends AnyInterface> = {
  readonly [K in keyof I['methods']]?: I['methods'][K] extends Method<infer P, infer R> ? Handler<P, R> : never;
};

export interface ImplementOptions {
  /** Runs before each call's parameters are looked at, and refuses the call by throwing a VarlinkError. */
  readonly before?: (call: Call) => void;
}

export interface Implementation extends ImplementOptions {
  readonly interface: AnyInterface;
  readonly handlers: Readonly<Record<string, unknown>>;
}

/**
 * Gives an interface its handlers.
 * @throws TypeError for a handler of a method that the interface has not, and what is no function
 */
export function implement<const I extends AnyInterface>(
  definition: I,
  handlers: HandlersOf<I>,
  options: ImplementOptions = {},
): Implementation {
  requireInterface(definition, 'definition');
  checkObject('handlers', handlers);
  checkObject('options', options);
  for (const [name, handler] of Object.entries(handlers)) {
    if (!Object.hasOwn(definition.methods, name))
      throw new TypeError(`${definition.name} has no method '${name}' to handle`);
    if (handler !== undefined) checkFunction(`handlers.${name}`, handler);
  }
  if (options.before !== undefined) checkFunction('before', options.before);
  return { interface: definition, handlers, ...options };
}

/** Who makes a service, for GetInfo. varlink.org/Service */
export interface ServiceInfo {
  readonly vendor: string;
  readonly product: string;
  readonly version: string;
  readonly url: string;
}

/** What a handler is once the types of its method no longer matter. */
export type AnyHandler = (parameters: object, call: Call) => unknown;

/** A method and who answers it. */
export interface ServedMethod {
  readonly method: AnyMethod;
  readonly handler: AnyHandler | undefined;
  readonly before: ((call: Call) => void) | undefined;
}

/** What a server serves: methods by their full names. */
export interface Service {
  readonly methods: ReadonlyMap<string, ServedMethod>;
}

/**
 * Puts interfaces together to a service, and adds `org.varlink.service` and `io.systemd`, which every service has.
 * @throws a TypeError for an interface given twice, and for what is no information or implementation
 */
export function service(info: ServiceInfo, ...implementations: readonly Implementation[]): Service {
  checkObject('info', info);
  for (const name of ['vendor', 'product', 'version', 'url'] as const) requireText(info[name], `info.${name}`);
  for (const [index, implementation] of implementations.entries()) {
    const name = `implementations[${index}]`;
    checkObject(name, implementation);
    requireInterface(implementation.interface, `${name}.interface`);
    checkObject(`${name}.handlers`, implementation.handlers);
  }
  const texts = new Map<string, string>();
  const builtIn = implement(varlinkService, {
    GetInfo: () => ({ ...info, interfaces: [...texts.keys()].sort() }),
    GetInterfaceDescription: ({ interface: name }) => {
      const description = texts.get(name);
      if (description === undefined) throw varlinkService.errors.InterfaceNotFound({ interface: name });
      return { description };
    },
  });
  const all = [builtIn, implement(systemdService, {}), ...implementations];
  for (const { interface: definition } of all) texts.set(definition.name, definition.text);
  if (texts.size < all.length) throw new TypeError('a service has an interface twice');
  const methods = all.flatMap(({ interface: definition, handlers, before }) =>
    Object.entries(definition.methods).map(
      ([key, method]) => [method.name, { method, handler: handlers[key] as AnyHandler | undefined, before }] as const,
    ),
  );
  return { methods: new Map(methods) };
}

function requireInterface(definition: AnyInterface, name: string): void {
  checkObject(name, definition);
  requireText(definition.name, `${name}.name`);
  requireText(definition.text, `${name}.text`);
  checkObject(`${name}.methods`, definition.methods);
}

import { type Call, varlinkService } from '@sdrx/varlink';
import { mangledName, registryName } from '../namespace/namespace-name.js';

const { InvalidParameter } = varlinkService.errors;

/** How a client asks for the name of its namespace. */
export interface NameRequest {
  readonly name: string;
  /** Whether another name will do. */
  readonly mangleName?: boolean | undefined;
}

/** The name that a client's namespace is registered by, the same each time that the call is looked at. Throws InvalidParameter. */
export function requestedName({ name, mangleName = false }: NameRequest, call: Pick<Call, 'peer' | 'cookie'>): string {
  const { uid } = call.peer;
  const registered = mangleName ? mangledName(name, uid, call.cookie) : registryName(name, uid);
  if (registered === undefined) throw InvalidParameter({ parameter: 'name' });
  return registered;
}

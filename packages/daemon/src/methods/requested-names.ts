import { varlinkService } from '@sdrx/varlink';
import { mangledNames, registryName } from '../namespace/namespace-name.js';

const { InvalidParameter } = varlinkService.errors;

/** How a client asks for the name of its namespace. */
export interface NameRequest {
  readonly name: string;
  /** Whether another name will do. */
  readonly mangleName?: boolean | undefined;
}

/** The names that a client's namespace may be registered by, the best one first. Throws InvalidParameter if there is none. */
export function requestedNames({ name, mangleName = false }: NameRequest, peerUid: number): readonly string[] {
  if (mangleName) return mangledNames(name, peerUid, randomName());
  const registered = registryName(name, peerUid);
  if (registered === undefined) throw InvalidParameter({ parameter: 'name' });
  return [registered];
}

/** What a client is told of the name: nothing, as it knows it, unless it left the choice to us. */
export function nameReply({ mangleName = false }: NameRequest, name: string): { name?: string } {
  return mangleName ? { name } : {};
}

/** Loads what it needs when it is first called: Node takes several milliseconds to load it, and few clients leave the choice to us. */
function randomName(): string {
  return process.getBuiltinModule('node:crypto').randomBytes(8).toString('hex');
}

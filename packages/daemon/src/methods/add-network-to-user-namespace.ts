import { statSync } from 'node:fs';
import {
  CLONE_NEWNET,
  isSystemError,
  Links,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  owningUserNamespace,
  type PeerCredentials,
} from '@sdrx/linux';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { isInterfaceName } from '../interface-name.js';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import type { Log } from '../log.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { requireSafeFlags } from '../safe-fd.js';
import { requireUserNamespace } from '../userns.js';
import { alternativeHostName, HOST_END, hostName, NAMESPACE_END, vethAddress } from '../veth-names.js';
import type { WorkerContext } from '../worker-context.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';

const { InvalidParameter, PermissionDenied } = varlinkService.errors;

const DEFAULT_NAME = 'host0';

/** Connects a network namespace of a registered user namespace with the one that we are in. */
export function addNetworkToUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AddNetworkToUserNamespace'] {
  return (parameters, call) => {
    requireRestrict(context);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    const network = call.fd(parameters.networkNamespaceFileDescriptor);
    requireNetworkNamespace(network, userns, call.peer);
    if (parameters.mode !== 'veth') throw InvalidParameter({ parameter: 'mode' });
    const { namespaceInterfaceName: wanted } = parameters;
    // By this name, which no parameter has, systemd tells of it.
    if (wanted !== undefined && !isInterfaceName(wanted)) throw InvalidParameter({ parameter: 'interfaceName' });
    using _lock = context.registry.lock();
    const entry = requireRegistered(context, fd, userns);
    if (call.peer.uid !== 0 && call.peer.uid !== entry.owner) throw PermissionDenied();
    return connect(entry, wanted, network, context.log);
  };
}

/** Throws InvalidParameter unless it is a network namespace of this user namespace, not ours, and the client may have it. */
function requireNetworkNamespace(fd: number, userns: number, peer: PeerCredentials): void {
  requireSafeFlags(fd);
  if (namespaceType(fd) !== CLONE_NEWNET || namespaceInode(fd) === statSync('/proc/thread-self/ns/net').ino) refuse();
  using owning = owningUserNamespace(fd);
  if (namespaceInode(owning.number) !== userns) refuse();
  if (peer.uid !== 0 && namespaceOwner(owning.number) !== peer.uid) refuse();
}

function refuse(): never {
  throw InvalidParameter({ parameter: 'networkNamespaceFileDescriptor' });
}

/** Lays the cable. Both ends are down: to switch them on is up to whoever manages the network at either end. */
function connect(
  entry: NamespaceEntry,
  wanted: string | undefined,
  network: number,
  log: Log,
): { hostInterfaceName: string; namespaceInterfaceName: string } {
  const [host, inside] = [hostName(entry, wanted), wanted ?? DEFAULT_NAME];
  using links = new Links();
  links.createVeth(
    { name: host, address: vethAddress(entry, wanted, HOST_END) },
    { name: inside, address: vethAddress(entry, wanted, NAMESPACE_END) },
    network,
  );
  const alternative = alternativeHostName(entry, wanted);
  try {
    links.addAlternativeName(host, alternative);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // It is for people; everything works without.
    log.warning(`interface ${host} can't have the alternative name ${alternative}`, error);
  }
  return { hostInterfaceName: host, namespaceInterfaceName: inside };
}

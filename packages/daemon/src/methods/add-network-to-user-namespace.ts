import { statSync } from 'node:fs';
import {
  CLONE_NEWNET,
  duplicate,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  owningUserNamespace,
  type PeerCredentials,
} from '@sdrx/linux';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { lastValueFrom, Observable, switchMap } from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { isInterfaceName } from '../namespace/interface-name.js';
import { rememberNamespace } from '../namespace/namespace-identity.js';
import { createVeth, deleteVeth, hasVeth } from '../namespace/veth.js';
import { hostName } from '../namespace/veth-names.js';
import { entrySnapshot } from '../registry/entry-snapshot.js';
import { locked } from '../registry/locked.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';
import { requireSafeFlags } from './safe-fd.js';
import { requireUserNamespace } from './userns.js';

const { InvalidParameter, PermissionDenied } = varlinkService.errors;

const { TooManyNetworkInterfaces } = namespaceResource.errors;

const DEFAULT_NAME = 'host0';

/** A namespace that has more gets no others; systemd lets it have one more than this, so do we. */
const INTERFACES = 16;

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
    const cable: Cable = { fd, userns, network, wanted, inside: wanted ?? DEFAULT_NAME };
    return locked(context.loop, context.registry, () => announce(context, cable, call.peer)).pipe(
      switchMap((announced) => lay(context, cable, announced)),
    );
  };
}

/** What is to be connected. */
interface Cable {
  /** The user namespace: its descriptor and inode. */
  readonly fd: number;
  readonly userns: number;
  /** The descriptor of its network namespace. */
  readonly network: number;
  /** The name of the interface inside, if the client said one. */
  readonly wanted: string | undefined;
  readonly inside: string;
}

/** What stands in the registry before anything is made, so that whatever is made is removed with the namespace. */
interface Announced {
  readonly entry: NamespaceEntry;
  readonly host: string;
}

/** With the registry's lock held. */
function announce(context: WorkerContext, { fd, userns, wanted }: Cable, peer: PeerCredentials): Announced {
  const entry = requireRegistered(context, fd, userns);
  const netifs = entry.netifs ?? [];
  if (netifs.length > INTERFACES) throw TooManyNetworkInterfaces();
  if (peer.uid !== 0 && peer.uid !== entry.owner) throw PermissionDenied();
  const host = hostName(entry, wanted);
  if (!netifs.includes(host)) writeInterfaces(context, fd, entry, [...netifs, host]);
  return { entry, host };
}

/** Lays the cable, which may take a while; what was made is removed if the client leaves meanwhile. */
function lay(
  context: WorkerContext,
  cable: Cable,
  announced: Announced,
): Observable<{ hostInterfaceName: string; namespaceInterfaceName: string }> {
  const { inside, network, wanted } = cable;
  const { entry, host } = announced;
  return new Observable((subscriber) => {
    // Of our own: those of a call are closed when its client leaves.
    const [ownFd, ownNetwork] = [duplicate(cable.fd), duplicate(network)];
    let left = false;
    const made = createVeth(entry, wanted, inside, ownNetwork.number, context.log);
    const takeBack = async (remove: boolean): Promise<void> => {
      if (remove) await deleteVeth(entry, host);
      await lastValueFrom(locked(context.loop, context.registry, () => withdraw(context, ownFd.number, announced)));
    };
    made
      .then(
        () => (left ? takeBack(true) : undefined),
        async (error) => {
          await takeBack(false);
          throw error;
        },
      )
      .then(
        () => {
          subscriber.next({ hostInterfaceName: host, namespaceInterfaceName: inside });
          subscriber.complete();
        },
        (error) => {
          if (left) context.log.warning(`interface ${host}, for which nobody waits any more`, error);
          else subscriber.error(error);
        },
      )
      .finally(() => {
        ownFd.close();
        ownNetwork.close();
      });
    return () => {
      left = true;
    };
  });
}

/** Takes an interface off the list that is not there. With the registry's lock held. */
function withdraw(context: WorkerContext, fd: number, { entry, host }: Announced): void {
  const namespace = entrySnapshot(context.registry, entry.userns);
  const netifs = namespace?.entry?.netifs ?? [];
  // Another call may have made it meanwhile, or before.
  if (namespace?.entry === undefined || !netifs.includes(host) || hasVeth(entry, host)) return;
  writeInterfaces(
    context,
    fd,
    namespace.entry,
    netifs.filter((name) => name !== host),
  );
}

function writeInterfaces(
  { registry }: WorkerContext,
  fd: number,
  entry: NamespaceEntry,
  netifs: readonly string[],
): void {
  registry.update({ ...entry, netifs });
  rememberNamespace(fd, entry.userns, registry);
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

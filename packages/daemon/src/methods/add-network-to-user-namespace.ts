import { statSync } from 'node:fs';
import {
  CLONE_NEWNET,
  duplicate,
  type Fd,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  owningUserNamespace,
  type PeerCredentials,
} from '@sdrx/linux';
import { type Call, type HandlersOf, varlinkService } from '@sdrx/varlink';
import { firstValueFrom, lastValueFrom, map, Observable, switchMap } from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { isInterfaceName } from '../namespace/interface-name.js';
import { rememberNamespace } from '../namespace/namespace-identity.js';
import { enterUserNamespace } from '../namespace/namespace-process.js';
import { deleteNetif, hasNetif } from '../namespace/netif.js';
import { hostName } from '../namespace/netif-names.js';
import { rootOutside } from '../namespace/root-outside.js';
import { createTap } from '../namespace/tap.js';
import { createVeth } from '../namespace/veth.js';
import { ACTIONS } from '../polkit/action.js';
import { entrySnapshot } from '../registry/entry-snapshot.js';
import { locked } from '../registry/locked.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { requireAuthorization } from './require-authorization.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';
import { requireSafeFlags } from './safe-fd.js';
import { requireUserNamespace } from './userns.js';

const { InvalidParameter, PermissionDenied } = varlinkService.errors;

const { TooManyNetworkInterfaces, UserNamespaceNotRegistered } = namespaceResource.errors;

const DEFAULT_NAME = 'host0';

/** A namespace that has more gets no others; systemd lets it have one more than this, so do we. */
const INTERFACES = 16;

type Handler = Required<HandlersOf<typeof namespaceResource>>['AddNetworkToUserNamespace'];

/** What a client is told of its interface. */
interface Reply {
  readonly hostInterfaceName: string;
  readonly namespaceInterfaceName?: string;
  readonly interfaceFileDescriptor?: number;
}

/** Connects a registered user namespace with the network that we are in: its network namespace, or who gets a tap's descriptor. */
export function addNetworkToUserNamespace(context: WorkerContext): Handler {
  return (parameters, call) => {
    requireRestrict(context);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    const { networkNamespaceFileDescriptor: index, namespaceInterfaceName: wanted, mode } = parameters;
    const network = index === undefined ? undefined : call.fd(index);
    if (network !== undefined) requireNetworkNamespace(network, userns, call.peer);
    // By this name, which no parameter has, systemd tells of it.
    if (wanted !== undefined && !isInterfaceName(wanted)) throw InvalidParameter({ parameter: 'interfaceName' });
    requireMode(mode, network, wanted);
    const netif: Netif = { fd, userns, network, wanted };
    return requireAuthorization(context, call, ACTIONS.delegateNetworkInterface, { type: mode }).pipe(
      switchMap(() => locked(context.loop, context.registry, () => announce(context, netif, call.peer))),
      switchMap((announced) => connect(context, netif, announced, call)),
    );
  };
}

/** What is to be made. */
interface Netif {
  /** The user namespace: its descriptor and inode. */
  readonly fd: number;
  readonly userns: number;
  /** The descriptor of the network namespace that gets the other end of a veth pair; undefined for a tap. */
  readonly network: number | undefined;
  /** The name of the interface inside, if the client said one. */
  readonly wanted: string | undefined;
}

/** Throws InvalidParameter for another mode, and for what one of the two lacks or has too much. */
function requireMode(mode: string, network: number | undefined, wanted: string | undefined): void {
  if (mode === 'veth') {
    if (network === undefined) refuseNetwork();
  } else if (mode === 'tap') {
    if (wanted !== undefined) throw InvalidParameter({ parameter: 'namespaceInterfaceName' });
    if (network !== undefined) refuseNetwork();
  } else throw InvalidParameter({ parameter: 'mode' });
}

/** What stands in the registry before anything is made, so that whatever is made is removed with the namespace. */
interface Announced {
  readonly entry: NamespaceEntry;
  readonly host: string;
}

/** With the registry's lock held. */
function announce(context: WorkerContext, { fd, userns, wanted }: Netif, peer: PeerCredentials): Announced {
  const entry = requireRegistered(context, fd, userns);
  const netifs = entry.netifs ?? [];
  if (netifs.length > INTERFACES) throw TooManyNetworkInterfaces();
  if (peer.uid !== 0 && peer.uid !== entry.owner) throw PermissionDenied();
  const host = hostName(entry, wanted);
  if (!netifs.includes(host)) writeInterfaces(context, fd, entry, [...netifs, host]);
  return { entry, host };
}

/** Makes the interface, which may take a while; what was made is removed if the client leaves meanwhile. */
function connect(context: WorkerContext, netif: Netif, announced: Announced, call: Call): Observable<Reply> {
  const { entry, host } = announced;
  return new Observable((subscriber) => {
    let left = false;
    const finish = async (): Promise<void> => {
      // Of our own: those of a call are closed when its client leaves.
      using fd = duplicate(netif.fd);
      using network = netif.network === undefined ? undefined : duplicate(netif.network);
      const withLock = (change: typeof confirm) =>
        lastValueFrom(locked(context.loop, context.registry, () => change(context, fd.number, announced)));
      try {
        const own = { ...netif, fd: fd.number, network: network?.number };
        const tap = await make(context, own, entry, call.peer);
        let isGiven = false;
        try {
          await withLock(confirm);
          isGiven = !left;
          if (isGiven) {
            const otherEnd =
              tap === undefined
                ? { namespaceInterfaceName: insideName(netif.wanted) }
                : { interfaceFileDescriptor: call.passFd(tap) };
            subscriber.next({ hostInterfaceName: host, ...otherEnd });
            subscriber.complete();
            return;
          }
        } finally {
          if (!isGiven) {
            using _closed = tap;
            await deleteNetif(entry, host);
          }
        }
      } catch (error) {
        await withLock(withdraw);
        throw error;
      }
      await withLock(withdraw);
    };
    finish().catch((error: unknown) => {
      if (left) context.log.warning(`interface ${host}, for which nobody waits any more`, error);
      else subscriber.error(error);
    });
    return () => {
      left = true;
    };
  });
}

/** @returns the descriptor of a tap */
async function make(
  context: WorkerContext,
  { fd, network, wanted }: Netif,
  entry: NamespaceEntry,
  { uid }: PeerCredentials,
): Promise<Fd | undefined> {
  if (network !== undefined) {
    await createVeth(entry, wanted, insideName(wanted), network, context.log);
    return undefined;
  }
  const root = await firstValueFrom(enterUserNamespace(context, fd, uid).pipe(map(rootOutside)));
  return await createTap(entry, root, context.log);
}

function insideName(wanted: string | undefined): string {
  return wanted ?? DEFAULT_NAME;
}

/**
 * Puts an interface that is there on the list again, if another call for the same one has failed meanwhile and took it off. With the
 * registry's lock held.
 */
function confirm(context: WorkerContext, fd: number, { entry, host }: Announced): void {
  const namespace = entrySnapshot(context.registry, entry.userns);
  if (namespace?.entry === undefined) throw UserNamespaceNotRegistered();
  const { netifs = [] } = namespace.entry;
  if (!netifs.includes(host)) writeInterfaces(context, fd, namespace.entry, [...netifs, host]);
}

/** Takes an interface off the list that is not there. With the registry's lock held. */
function withdraw(context: WorkerContext, fd: number, { entry, host }: Announced): void {
  const namespace = entrySnapshot(context.registry, entry.userns);
  const netifs = namespace?.entry?.netifs ?? [];
  // Another call may have made it meanwhile, or before.
  if (namespace?.entry === undefined || !netifs.includes(host) || hasNetif(entry, host)) return;
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
  if (namespaceType(fd) !== CLONE_NEWNET || namespaceInode(fd) === statSync('/proc/thread-self/ns/net').ino)
    refuseNetwork();
  using owning = owningUserNamespace(fd);
  if (namespaceInode(owning.number) !== userns) refuseNetwork();
  if (peer.uid !== 0 && namespaceOwner(owning.number) !== peer.uid) refuseNetwork();
}

function refuseNetwork(): never {
  throw InvalidParameter({ parameter: 'networkNamespaceFileDescriptor' });
}

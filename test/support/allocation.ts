import { readdirSync, readFileSync } from 'node:fs';
import { namespaceResource, userDatabase } from '@sdrx/daemon';
import type { Fd } from '@sdrx/linux';
import type { Daemon } from './daemon.js';
import type { UserNamespace } from './user-namespace.js';
import { type RawCallOptions, type RawReply, varlinkCall } from './varlink-call.js';

/** The parameter that says which of the descriptors sent along is the namespace. */
export const USERNS = 'userNamespaceFileDescriptor';

const SERVICE = namespaceResource.name;

/** Asks for a range of 65,536 ids for `namespace`, or for what else `more` says. */
export function allocate(
  daemon: Pick<Daemon, 'socketPath'>,
  namespace: Fd | number,
  name: string,
  more: Readonly<Record<string, unknown>> = {},
  options: RawCallOptions = {},
): Promise<RawReply> {
  const fds = [typeof namespace === 'number' ? namespace : namespace.number];
  const parameters = { name, size: 65_536, userNamespaceFileDescriptor: 0, ...more };
  return varlinkCall(daemon.socketPath, `${SERVICE}.AllocateUserRange`, parameters, { fds, ...options });
}

/** Asks for the record of a user or a group. */
export function ask(
  daemon: Pick<Daemon, 'socketPath'>,
  kind: 'User' | 'Group',
  query: Readonly<Record<string, unknown>>,
): Promise<RawReply> {
  return varlinkCall(daemon.socketPath, `${userDatabase.name}.Get${kind}Record`, { service: SERVICE, ...query });
}

/** The ids that the kernel gives to a process's namespace, as `inside outside count`; empty while there are none. */
export function kernelMap(pid: number, kind: 'uid_map' | 'gid_map'): string {
  return readFileSync(`/proc/${pid}/${kind}`, 'ascii').trim().replaceAll(/ +/g, ' ');
}

/** Both maps of a namespace, which must be the same, as `inside outside count`. */
export function mapOf({ child }: UserNamespace): string {
  const [uids, gids] = [kernelMap(child.pid, 'uid_map'), kernelMap(child.pid, 'gid_map')];
  if (uids !== gids) throw new Error(`uid_map is ${uids}, but gid_map is ${gids}`);
  return uids;
}

/** One of the maps of a namespace, line by line. */
export function linesOf({ child }: UserNamespace, kind: 'uid_map' | 'gid_map' = 'uid_map'): string[] {
  const lines = kernelMap(child.pid, kind).split('\n');
  return lines.map((line) => line.trim()).filter((line) => line !== '');
}

/** The reply to who got ids, or registered a namespace, by this name. */
export function given(name: string): RawReply {
  return { parameters: { name } };
}

/** The reply to a wrong parameter. */
export function invalid(parameter: string): RawReply {
  return { error: 'org.varlink.service.InvalidParameter', parameters: { parameter } };
}

/** An error reply of the namespace interface. */
export function refused(error: keyof typeof namespaceResource.errors): RawReply {
  return { error: `${SERVICE}.${error}`, parameters: {} };
}

/** The reply to a call that failed in a system call. */
export function failed(errnoName: string, errno: number): RawReply {
  return { error: 'io.systemd.System', parameters: { origin: 'linux', errnoName, errno } };
}

/** What a daemon keeps of itself, whatever namespaces there are. */
const OWN_FILE = /^(ledger\.\d+|manager|control)$/;

/** All files that a daemon keeps of namespaces, as paths below its runtime directory. */
export function keptFiles({ runtimeDirectory }: Pick<Daemon, 'runtimeDirectory'>): string[] {
  const files = readdirSync(`${runtimeDirectory}/nsresource`, { recursive: true, encoding: 'utf8' });
  return files.filter((file) => !OWN_FILE.test(file)).sort();
}

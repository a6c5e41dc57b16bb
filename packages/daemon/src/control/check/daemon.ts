import { isSystemError } from '@sdrx/linux';
import { socketPath } from '../../program/runtime-directory.js';
import { Registry } from '../../registry/registry.js';
import { readRegistry } from '../../registry/registry-report.js';
import { callService } from '../service-call.js';
import { ServiceError } from '../service-error.js';
import type { Finding } from './finding.js';

const INTERFACE = 'io.systemd.NamespaceResource';

/** Who serves, what of it, and what is registered. */
export function checkDaemon(runtimeDirectory: string): Finding[] {
  const daemon = product(socketPath(runtimeDirectory));
  if (daemon.state !== 'ok') return [daemon];
  return [daemon, interfaces(socketPath(runtimeDirectory)), registered(runtimeDirectory)];
}

function product(path: string): Finding {
  const what = 'daemon';
  try {
    const { product, version } = callService(path, 'org.varlink.service.GetInfo', {});
    return { what, state: 'ok', detail: `${String(product)} ${String(version)} at ${path}` };
  } catch (error) {
    return {
      what,
      state: 'missing',
      detail: isUnreachable(error) ? `nobody listens at ${path}` : messageOf(error),
      remedy: 'systemctl enable --now systemd-nsresourced.socket, or nsresourced as root',
    };
  }
}

/** Asks for a namespace without saying which: the daemon refuses that in one of two ways. */
function interfaces(path: string): Finding {
  const what = 'ids for namespaces';
  try {
    callService(path, `${INTERFACE}.AllocateUserRange`, { name: 'check', size: 0, userNamespaceFileDescriptor: 0 });
  } catch (error) {
    if (!(error instanceof ServiceError)) return { what, state: 'missing', detail: messageOf(error) };
    if (error.error === `${INTERFACE}.UserNamespaceInterfaceNotSupported`) {
      return {
        what,
        state: 'missing',
        detail: 'the daemon gives none here: its log says why',
        remedy:
          'mend what is missing above, or run nsresourced --userns-restrict=off (docs/daemon.md has what that gives up)',
      };
    }
  }
  return { what, state: 'ok', detail: 'the daemon gives them' };
}

function registered(runtimeDirectory: string): Finding {
  const what = 'registry';
  using registry = Registry.view(runtimeDirectory);
  try {
    const { entries, failures } = readRegistry(registry);
    const [failure] = failures;
    if (failure === undefined)
      return { what, state: 'ok', detail: `${entries.length} namespaces in ${registry.directory}` };
    return { what, state: 'missing', detail: failure.message, remedy: 'see the log of the daemon' };
  } catch (error) {
    return { what, state: 'unknown', detail: messageOf(error) };
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof Error && isSystemError(error.cause, 'ENOENT', 'ECONNREFUSED');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

import * as t from 'io-ts';
import { type OptionValues, oneOf, Path } from '../program/command-line.js';
import { RUNTIME_DIRECTORY, socketPath } from '../program/runtime-directory.js';
import { explainRefusal } from './refusal.js';
import { callService } from './service-call.js';
import { ServiceError } from './service-error.js';

/** systemd-nsresourced(8) */
const INTERFACE = 'io.systemd.NamespaceResource';

const UINT32_MAX = 0xffff_ffff;

const FirstId = new t.Type<number, string, unknown>(
  'an id from 0 to 4294967294',
  (input): input is number => typeof input === 'number',
  (input, context) =>
    typeof input === 'string' && /^\d{1,10}$/.test(input) && Number(input) < UINT32_MAX
      ? t.success(Number(input))
      : t.failure(input, context),
  String,
);

/** The options of a namespace that is to be made. */
export const REQUEST_OPTIONS = {
  name: { value: 'NAME', codec: Path, description: 'What it is called; users other than root get UID- in front' },
  size: { value: 'N', codec: oneOf(['1', '65536']), description: 'How many ids, 1 or 65536 (65536)' },
  map: { value: 'ID', codec: FirstId, description: 'The first of its ids as seen from inside (0)' },
  'runtime-directory': { value: 'DIR', codec: Path, description: `Where the daemon is (${RUNTIME_DIRECTORY})` },
} as const;

/** What is asked of the daemon, as AllocateUserRange has it. */
export interface NamespaceRequest {
  /** Undefined for any that is free. */
  readonly name: string | undefined;
  readonly size: number;
  readonly target: number;
  readonly runtimeDirectory: string;
}

/** What the options say. */
export function namespaceRequest(values: OptionValues<typeof REQUEST_OPTIONS>): NamespaceRequest {
  return {
    name: values.name,
    size: Number(values.size ?? 65_536),
    target: values.map ?? 0,
    runtimeDirectory: values['runtime-directory'] ?? RUNTIME_DIRECTORY,
  };
}

/**
 * Has a user namespace without maps get its ids.
 * @param prefix of the name where none was asked for, before the number
 * @param number of a process, which is in the name, so that it tells whose namespace it is
 * @throws Error that says what to do
 */
export function allocateRange(request: NamespaceRequest, namespace: number, prefix: string, number: number): void {
  const { name, size, target, runtimeDirectory } = request;
  const ask = (name: string) =>
    callService(
      socketPath(runtimeDirectory),
      `${INTERFACE}.AllocateUserRange`,
      { name, size, target, userNamespaceFileDescriptor: 0 },
      [namespace],
    );
  explaining(request, () => {
    if (name !== undefined) return ask(name);
    try {
      return ask(`${prefix}-${number}`);
    } catch (error) {
      // A process of another PID namespace, or one that is gone while its namespace is not.
      if (!(error instanceof ServiceError && error.error === `${INTERFACE}.NameExists`)) throw error;
      return ask(`${prefix}-${Math.random().toString(36).slice(2, 9)}`);
    }
  });
}

/** Connects a network namespace of a registered user namespace with the host. @throws Error that says what to do */
export function addNetwork(request: NamespaceRequest, userNamespace: number, networkNamespace: number): void {
  const parameters = { userNamespaceFileDescriptor: 0, networkNamespaceFileDescriptor: 1, mode: 'veth' };
  const path = socketPath(request.runtimeDirectory);
  const fds = [userNamespace, networkNamespace];
  explaining(request, () => callService(path, `${INTERFACE}.AddNetworkToUserNamespace`, parameters, fds));
}

function explaining(request: NamespaceRequest, call: () => unknown): void {
  try {
    call();
  } catch (error) {
    throw error instanceof ServiceError ? explainRefusal(error, request) : error;
  }
}

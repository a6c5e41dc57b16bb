import { readEnvironment } from '@sdrx/event';
import * as t from 'io-ts';
import { systemBusAddresses } from '../dbus/bus-address.js';

/** What a manager tells its worker. */
export interface WorkerEnvironment {
  /** NSRESOURCE_FIXED_WORKER: one of those that stay while there is nothing to do. */
  readonly fixed: boolean;
  /** NSRESOURCE_API: whether the user namespace interfaces work. */
  readonly api: boolean;
  /** DBUS_SYSTEM_BUS_ADDRESS: where the system's message bus may be, the best first. */
  readonly busAddresses: readonly string[];
}

const ZeroOrOne = new t.Type<boolean, string, unknown>(
  '0 or 1',
  t.boolean.is,
  (input, context) => (input === '0' || input === '1' ? t.success(input === '1') : t.failure(input, context)),
  (value) => (value ? '1' : '0'),
);

/** What is unset counts as 0. Throws EnvironmentError for anything but 0 and 1, and as `systemBusAddresses`. */
export function workerEnvironment(environment: NodeJS.ProcessEnv): WorkerEnvironment {
  const read = (variable: string) => readEnvironment(environment, variable, ZeroOrOne) ?? false;
  const busAddresses = systemBusAddresses(environment);
  return { fixed: read('NSRESOURCE_FIXED_WORKER'), api: read('NSRESOURCE_API'), busAddresses };
}

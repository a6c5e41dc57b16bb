import { checkBoolean, checkFds, checkObject, checkText, MAX_PASSED_FDS } from '@sdrx/linux';
import { Decimal, readEnvironment } from '../kernel/environment.js';
import { formatNotification, type Notification } from './notification.js';
import { notify } from './notify.js';

/** How descriptors are kept. */
export interface StoreFdsOptions {
  /**
   * Whether the service manager forgets one that reports an error or a hang-up, as a connection does whose peer is gone: by
   * default true. FDPOLL=0
   */
  readonly poll?: boolean;
}

/**
 * How many descriptors the service manager keeps for this service: FDSTORE, which is FileDescriptorStoreMax= of the unit.
 * @returns undefined if it does not say: systemd does so since 254, and where the limit is 0, which it is by default
 * @throws EnvironmentError
 */
export function fdStoreLimit(environment: NodeJS.ProcessEnv = process.env): number | undefined {
  checkObject('environment', environment);
  return readEnvironment(environment, 'FDSTORE', Decimal);
}

/**
 * Has the service manager keep descriptors under a name, until `removeStoredFds` or its unit ends. At the next start, after a
 * crash too, `listenFds` has them by this name, behind the sockets of socket units.
 *
 * Those that were stored last come first then, and the order of those that were stored together is not promised: give each its
 * own name if it matters. One that is kept already, the same open file description, is not kept twice. A connection that is kept
 * has no end for its peer until it is removed.
 * @param name 1 to 255 printable ASCII characters, no `:`
 * @param fds any number of them, in batches of 253; they stay the caller's
 * @returns whether they will be kept as far as is known: false without a service manager, and where FDSTORE says less than their
 * number or nothing. They are sent in the latter cases, too: systemd before 254 keeps them and says nothing of it. What does not
 * fit is closed without an answer, so set FileDescriptorStoreMax= in the unit.
 * @throws as `notify`, and EnvironmentError for a malformed FDSTORE
 */
export function storeFds(name: string, fds: readonly number[], options: StoreFdsOptions = {}): boolean {
  checkText('name', name);
  checkFds('fds', fds);
  checkObject('options', options);
  const { poll = true } = options;
  checkBoolean('poll', poll);
  const limit = fdStoreLimit();
  const variables: Notification = { FDSTORE: 1, FDNAME: name, ...(poll ? {} : { FDPOLL: 0 }) };
  // Also if there is nothing to store.
  formatNotification(variables);
  let told = true;
  for (let first = 0; first < fds.length; first += MAX_PASSED_FDS) {
    told = notify(variables, fds.slice(first, first + MAX_PASSED_FDS));
  }
  return told && limit !== undefined && fds.length <= limit;
}

/**
 * Has the service manager forget, and close, all that it keeps under a name.
 * @param name 1 to 255 printable ASCII characters, no `:`
 * @returns whether there is a service manager
 * @throws as `notify`
 */
export function removeStoredFds(name: string): boolean {
  checkText('name', name);
  return notify({ FDSTOREREMOVE: 1, FDNAME: name });
}

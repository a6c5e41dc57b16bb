import { isSystemError } from '@sdrx/linux';
import { EnvironmentError } from '../kernel/environment.js';
import type { RestartSystem } from '../restart/restart-system.js';
import { messageOf } from './message-of.js';
import type { Notification } from './notification.js';

/** Who tells. */
export type Teller = Pick<RestartSystem, 'notify'>;

/**
 * As `notify`, for what must go on whether the service manager hears of it or not: what can't be sent comes as a warning of Node's.
 * @returns whether there is a service manager that hears it
 */
export function tell(teller: Teller, notification: Notification): boolean {
  try {
    return teller.notify(notification);
  } catch (error) {
    if (!isSystemError(error) && !(error instanceof EnvironmentError)) throw error;
    process.emitWarning(
      `the service manager was not told ${Object.keys(notification).join(', ')}: ${messageOf(error)}`,
    );
    return false;
  }
}

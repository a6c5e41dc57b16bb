import { type Notification, notify } from '@sdrx/event';
import type { Log } from '../program/log.js';

/** Tells the service manager something that it need not know for the daemon to go on: a failure is only logged. */
export function tellServiceManager(notification: Notification, log: Log): void {
  try {
    notify(notification);
  } catch (error) {
    log.warning('service manager not told', error);
  }
}

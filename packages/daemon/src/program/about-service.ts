import type { ServiceInfo } from '@sdrx/varlink';
import { VERSION } from './version.js';

/** What GetInfo tells of the daemon, on each of its sockets. */
export const ABOUT_SERVICE: ServiceInfo = {
  vendor: 'sdrx',
  product: 'nsresourced',
  version: VERSION,
  url: 'https://systemd.io/USER_GROUP_API',
};

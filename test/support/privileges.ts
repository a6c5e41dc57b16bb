import { existsSync } from 'node:fs';
import { TimerFd } from '@sdrx/linux';
import { errorCode } from './error-code.js';

/** Options for a test that only root can run. */
export const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'only root can do this: run the tests as root' };

/** Options for a test that makes tap interfaces. */
export const needsTun =
  'skip' in needsRoot || existsSync('/dev/net/tun') ? needsRoot : { skip: 'there is no /dev/net/tun' };

/** Options for a test that sets timers on the clocks that wake a suspended machine. */
export const needsAlarms =
  errorCode(() => new TimerFd('boottime-alarm')[Symbol.dispose]()) === ''
    ? {}
    : { skip: 'this process lacks CAP_WAKE_ALARM' };

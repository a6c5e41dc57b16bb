import { Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { RestartSystem } from '../restart/restart-system.js';
import { signsOfLife } from './watchdog.js';

/** How long to wait until the watchdog is tried again that could not be fed, in milliseconds. */
const PAUSE = 1000;

/**
 * Gives the service manager signs of life until it is unsubscribed, also during the end. A service manager that can't be told now may be
 * told later.
 * @param report gets the first thing that goes wrong
 */
export function keepGivingSigns(
  loop: EventLoop,
  system: RestartSystem,
  report: (error: unknown) => void,
): Subscription {
  const signs = new Subscription();
  let hasFailed = false;
  const give = () => {
    const failed = (error: unknown) => {
      if (!hasFailed) report(error);
      hasFailed = true;
      signs.add(loop.time({ after: PAUSE, description: 'watchdog' }).subscribe({ next: give, error: report }));
    };
    if (!signs.closed) signs.add(signsOfLife(loop, system).subscribe({ error: failed }));
  };
  give();
  return signs;
}

import type { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import type { ServerEvent } from '@sdrx/varlink';
import { type MonoTypeOperatorFunction, tap } from 'rxjs';

/** A worker is busy when it accepts connections within this time of each other, in milliseconds, and more are waiting. */
const BUSY_INTERVAL = 50;

/** It does not ask again within this time, in milliseconds: so long the new worker takes to be of help. */
const PATIENCE = 250;

/** Asks the manager, by SIGUSR2, for another worker when there is more to accept than this one gets done. */
export function callForHelp(loop: EventLoop, manager: number): MonoTypeOperatorFunction<ServerEvent> {
  let accepted = Number.NEGATIVE_INFINITY;
  let asked = Number.NEGATIVE_INFINITY;
  return tap((event) => {
    if (event.type !== 'accepted') return;
    const now = loop.now();
    const busy = event.waiting && now - accepted <= BUSY_INTERVAL;
    accepted = now;
    if (!busy || now - asked < PATIENCE) return;
    asked = now;
    signalManager(manager);
  });
}

function signalManager(pid: number): void {
  try {
    process.kill(pid, 'SIGUSR2');
  } catch (error) {
    // It is gone, and our own end is on its way.
    if (!isSystemError(error, 'ESRCH', 'EPERM')) throw error;
  }
}

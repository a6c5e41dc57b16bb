import type { EventLoop } from '@sdrx/event';
import type { SignalInfo } from '@sdrx/linux';
import { type Observable, tap } from 'rxjs';
import { LOG_LEVELS, type Log, type LogTarget } from './log.js';
import { memoryStatistics, releaseMemory } from './memory.js';

/** si_code of sigqueue(3), the only sender that passes a value. */
const SI_QUEUE = -1;

/** In the order of the commands for them. */
const TARGETS: readonly LogTarget[] = ['console', 'journal', 'kmsg', 'null'];

/**
 * Obeys the commands that SIGRTMIN+18 carries in its queued value: 0x100 to 0x107 sets the log level, 0x200 to 0x203 the
 * log target (console, journal, kernel log, none), 0x300 gives memory back, 0x301 logs memory statistics.
 * sd_event_add_signal(3), systemd.io/MEMORY_PRESSURE
 */
export function signalCommands(loop: EventLoop, log: Log): Observable<SignalInfo> {
  return loop.signal('SIGRTMIN+18', { description: 'commands' }).pipe(tap((info) => obey(info, log)));
}

function obey({ code, value, pid }: SignalInfo, log: Log): void {
  const level = LOG_LEVELS[value - 0x100];
  const target = TARGETS[value - 0x200];
  if (code !== SI_QUEUE) {
    log.notice(`SIGRTMIN+18 from process ${pid} carries no command, ignored`);
  } else if (level !== undefined) {
    log.level = level;
    log.info(`log level is now ${level}`);
  } else if (target !== undefined) {
    log.target = target;
    log.info(`log target is now ${target}`);
  } else if (value === 0x300) {
    releaseMemory();
    log.debug('gave memory back');
  } else if (value === 0x301) {
    log.info(`memory: ${memoryStatistics()}`);
  } else {
    log.notice(`SIGRTMIN+18 from process ${pid} carries the unknown command 0x${(value >>> 0).toString(16)}, ignored`);
  }
}

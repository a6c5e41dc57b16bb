import { LOG_LEVELS, LOG_TARGETS, type Log, type LogLevel } from './log.js';

/** A level by name or number, and after `console:`, say, for what goes there. */
const SETTING = /^(?:(console|syslog|kmsg|journal):)?([a-z]+|[0-7])$/;

/**
 * Sets a log as SYSTEMD_LOG_LEVEL and SYSTEMD_LOG_TARGET say; what they say wrong is warned of. systemd(1)
 *
 * The level is a list: `debug,console:info` has the console told less than the rest. A value of which one part is wrong is
 * ignored as a whole.
 */
export function configureLog(log: Log, environment: NodeJS.ProcessEnv = process.env): void {
  const { SYSTEMD_LOG_LEVEL: levels, SYSTEMD_LOG_TARGET: target } = environment;
  if (levels !== undefined && !setLevels(log, levels)) {
    log.warning(`SYSTEMD_LOG_LEVEL is no log level, ignored: '${levels}'`);
  }
  if (target !== undefined && target !== 'auto') {
    const known = LOG_TARGETS.find((name) => target === name);
    if (known === undefined) log.warning(`SYSTEMD_LOG_TARGET is no log target, ignored: '${target}'`);
    else log.target = known;
  }
}

/** What SYSTEMD_LOG_LEVEL has to be for another process to log as this one does. */
export function logLevelVariable(log: Log): string {
  const number = (level: LogLevel) => String(LOG_LEVELS.indexOf(level));
  return [number(log.level), ...[...log.targetLevels].map(([target, level]) => `${target}:${number(level)}`)].join();
}

/** @returns false, having set nothing, if the text is malformed */
function setLevels(log: Log, text: string): boolean {
  const settings = text.split(',').map((part) => {
    const [, target, word] = SETTING.exec(part) ?? [];
    return { target, level: LOG_LEVELS.find((name, number) => word === name || word === String(number)) };
  });
  for (const { level } of settings) if (level === undefined) return false;
  for (const { target, level = log.level } of settings) {
    if (target === undefined) log.level = level;
    // Nothing is written there by us, as by systemd nothing is since the journal took its place.
    else if (target !== 'syslog') log.targetLevels.set(target as 'console' | 'kmsg' | 'journal', level);
  }
  return true;
}

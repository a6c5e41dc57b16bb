import { LOG_LEVELS, LOG_TARGETS, type Log } from './log.js';

/** Sets a log as SYSTEMD_LOG_LEVEL (a name or number) and SYSTEMD_LOG_TARGET say; what they say wrong is warned of. */
export function configureLog(log: Log, environment: NodeJS.ProcessEnv = process.env): void {
  const { SYSTEMD_LOG_LEVEL: level, SYSTEMD_LOG_TARGET: target } = environment;
  if (level !== undefined) {
    const known = LOG_LEVELS.find((name, number) => level === name || level === String(number));
    if (known === undefined) log.warning(`SYSTEMD_LOG_LEVEL is no log level, ignored: '${level}'`);
    else log.level = known;
  }
  if (target !== undefined && target !== 'auto') {
    const known = LOG_TARGETS.find((name) => target === name);
    if (known === undefined) log.warning(`SYSTEMD_LOG_TARGET is no log target, ignored: '${target}'`);
    else log.target = known;
  }
}

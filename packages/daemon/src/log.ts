import { openSync, writeSync } from 'node:fs';
import { isSystemError, SOCK_DGRAM, sendMessage, setNonBlocking, unixSocket } from '@sdrx/linux';

/** The levels of syslog(3), most urgent first. */
export const LOG_LEVELS = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Where messages go, by the names of SYSTEMD_LOG_TARGET. */
export const LOG_TARGETS = ['console', 'journal', 'kmsg', 'null'] as const;
export type LogTarget = (typeof LOG_TARGETS)[number];

const JOURNAL_SOCKET = '/run/systemd/journal/socket';
const KERNEL_LOG = '/dev/kmsg';

/** A service's log: one line a message, up to a level, to one target. Both can be changed at any time. */
export class Log {
  level: LogLevel = 'info';
  target: LogTarget = 'console';

  /** @param identifier the program's name, which every message carries */
  constructor(readonly identifier: string) {}

  warning(message: string, cause?: unknown): void {
    this.#log('warning', message, cause);
  }

  error(message: string, cause?: unknown): void {
    this.#log('err', message, cause);
  }

  notice(message: string, cause?: unknown): void {
    this.#log('notice', message, cause);
  }

  info(message: string, cause?: unknown): void {
    this.#log('info', message, cause);
  }

  debug(message: string, cause?: unknown): void {
    this.#log('debug', message, cause);
  }

  #log(level: LogLevel, message: string, cause?: unknown): void {
    const priority = LOG_LEVELS.indexOf(level);
    if (this.target === 'null' || priority > LOG_LEVELS.indexOf(this.level)) return;
    const text = (cause === undefined ? message : `${message}: ${describe(cause)}`).replaceAll('\n', ' ');
    try {
      if (this.target === 'journal') this.#toJournal(priority, text);
      else if (this.target === 'kmsg') this.#toKernelLog(priority, text);
      else this.#toConsole(priority, text);
    } catch (error) {
      // Better in the wrong place than lost.
      this.#toConsole(priority, `${text} (not to the ${this.target}: ${describe(error)})`);
    }
  }

  #toConsole(priority: number, text: string): void {
    // The journal, reading our standard error, takes the level from this prefix. sd-daemon(3)
    const prefix = process.env.JOURNAL_STREAM === undefined ? `${this.identifier}[${process.pid}]: ` : `<${priority}>`;
    writeLine(`${prefix}${text}`);
  }

  #toJournal(priority: number, text: string): void {
    const fields = `MESSAGE=${text}\nPRIORITY=${priority}\nSYSLOG_IDENTIFIER=${this.identifier}\n`;
    using socket = unixSocket(SOCK_DGRAM);
    setNonBlocking(socket.number, false);
    sendMessage(socket.number, Buffer.from(fields), { to: JOURNAL_SOCKET });
  }

  #kernelLog: number | undefined;

  #toKernelLog(priority: number, text: string): void {
    this.#kernelLog ??= openSync(KERNEL_LOG, 'w');
    writeSync(this.#kernelLog, `<${priority}>${this.identifier}[${process.pid}]: ${text}\n`);
  }
}

/** Writes one line to the standard error. */
export function writeLine(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch (error) {
    // Nobody reads it, or not fast enough; what a service says must not end it.
    if (!isSystemError(error, 'EAGAIN', 'EPIPE', 'EIO', 'EBADF')) throw error;
  }
}

function describe(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

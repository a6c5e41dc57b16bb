import type { JournalFields } from './journal-fields.js';
import type { LogLevel } from './log-level.js';

/** How a program logs. */
export interface JournalOptions {
  /** SYSLOG_IDENTIFIER, by which `journalctl -t` finds a program: by default the name of its file. */
  readonly identifier?: string;
  /** Fields that every entry has. */
  readonly fields?: JournalFields;
  /** What is less urgent is not logged: by default `info`, and `debug` if systemd says DEBUG_INVOCATION=1. */
  readonly level?: LogLevel;
  /**
   * `auto`, the default: the journal if JOURNAL_STREAM says that the standard error is its, else the standard error, as when a
   * program is started by hand. `journal`: in any case the journal. `stderr`: in any case the standard error.
   */
  readonly target?: 'auto' | 'journal' | 'stderr';
  /** Whether entries say where they were logged: CODE_FILE, CODE_LINE and CODE_FUNC. By default false: it costs some 10 µs. */
  readonly location?: boolean;
  /** The journal's socket, by default `/run/systemd/journal/socket`: a path, or an abstract name behind `@`. */
  readonly socket?: string;
}

/** What an entry has beside its text. */
export interface JournalEntry extends JournalFields {
  /**
   * An error, or whatever else was thrown. Its message goes behind the text; ERRNO (positive, as in errno(3)), ERROR_NAME, ERROR_CODE,
   * ERROR_SYSCALL, ERROR_PATH and ERROR_STACK, with its causes, become fields.
   */
  readonly error?: unknown;
}

import { checkObject } from '@sdrx/linux';
import { JournalLogger } from './journal-logger.js';
import type { JournalOptions } from './journal-options.js';
import { JournalWriter } from './journal-writer.js';

/**
 * Logs to the systemd journal, with fields, by its native protocol.
 *
 * To log never waits, and never fails. What the journal has no room for is kept, in order, until it takes none for 5 s: at most
 * 1024 entries and 4 MiB. What it does not take, and all where there is no journal, goes to the standard error, with `<N>` before
 * each line, N being the level's number (sd-daemon(3)); what that can't take either is lost, and its next line says how many were.
 * Wrong arguments do throw, the name of a field say: TypeError and RangeError.
 *
 * On a standard error that is not the journal's a message is a line, `level: text`, with the stack of its error and without fields.
 * systemd.journal-fields(7), https://systemd.io/JOURNAL_NATIVE_PROTOCOL
 * @example
 * const door = new Journal({ fields: { DOOR: 'front' } });
 * door.notice('somebody knocks', { KNOCKS: 3 });
 */
export class Journal extends JournalLogger {
  /** @throws TypeError and RangeError for options that can't be */
  constructor(options: JournalOptions = {}) {
    checkObject('options', options);
    const { fields = {} } = options;
    super(new JournalWriter(options), fields);
  }
}

/**
 * A `Journal` as one gets it without options: what a program logs by.
 * @example
 * journal.warning('the disk is nearly full', { MESSAGE_ID: '1b9a0b2e0e9d4bd5b2b5d8a3c9e6f701', DISK: '/dev/sda1' });
 */
export const journal: Journal = /* @__PURE__ */ new Journal();

import {
  checkObject,
  checkText,
  EAGAIN,
  isSystemError,
  SOCK_DGRAM,
  SystemError,
  sealedFile,
  sendMessage,
  unixSocket,
} from '@sdrx/linux';
import { checkJournalFields, encodeEntry, type JournalFields } from './journal-fields.js';

/** Where the journal takes entries. In a unit with LogNamespace= it is that namespace's. */
export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

const NOTHING = Buffer.alloc(0);

/** Where an entry goes. */
export interface SendJournalEntryOptions {
  /** The journal's socket, by default `/run/systemd/journal/socket`: a path, or an abstract name behind `@`. */
  readonly socket?: string;
}

/**
 * Sends one entry to the journal, by its native protocol, with these fields and no others; it adds its own, `_PID` and
 * `_SYSTEMD_UNIT` among them. What is too long for a datagram goes as a sealed file in memory. sd_journal_sendv(3)
 *
 * Never waits: an entry that the journal has no room for is an error, EAGAIN. `Journal` keeps such ones, and is what a program
 * logs by. systemd throws away a field of more than 768 MiB, without a word.
 * @param fields `MESSAGE` and `PRIORITY` ought to be among them
 * @throws TypeError and RangeError for what can't be a field; SystemError ENOENT, ECONNREFUSED where no journal is, EACCES,
 * EAGAIN, EMFILE, ENOMEM
 * @example
 * sendJournalEntry({ MESSAGE: 'door opened', PRIORITY: 5, DOOR: 'front' });
 */
export function sendJournalEntry(fields: JournalFields, options: SendJournalEntryOptions = {}): void {
  checkJournalFields(fields);
  checkObject('options', options);
  const { socket = JOURNAL_SOCKET } = options;
  checkText('socket', socket);
  if (!sendEntry(socket, encodeEntry(fields))) throw new SystemError(EAGAIN, 'sendmsg', socket);
}

/** The same with an entry as it is sent. @returns false when the journal has no room for it now */
export function sendEntry(to: string, entry: Uint8Array): boolean {
  using socket = unixSocket(SOCK_DGRAM);
  try {
    return sendMessage(socket.number, entry, { to }) !== undefined;
  } catch (error) {
    if (!isSystemError(error, 'EMSGSIZE', 'ENOBUFS') || error.syscall !== 'sendmsg') throw error;
    using file = sealedFile('journal-entry', entry);
    return sendMessage(socket.number, NOTHING, { to, fds: [file.number] }) !== undefined;
  }
}

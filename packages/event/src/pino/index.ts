import { Writable } from 'node:stream';
import { checkObject, checkText } from '@sdrx/linux';
import { checkJournalFields, type JournalFields } from '../journal/journal-fields.js';
import type { JournalOptions } from '../journal/journal-options.js';
import { JournalWriter } from '../journal/journal-writer.js';
import { LineDecoder } from '../supervise/line-decoder.js';
import { readPinoLine } from './journal-of-pino.js';

/** How what pino logs gets into the journal. */
export interface PinoJournalOptions extends Omit<JournalOptions, 'level' | 'location'> {
  /** Pino's option of this name: which member has the message, by default `msg`. */
  readonly messageKey?: string;
  /** Pino's option of this name: which member has the error, by default `err`. */
  readonly errorKey?: string;
}

/** The longest line of pino's, in characters of UTF-16. */
const LONGEST = 64 * 1024 * 1024;

/**
 * Where pino logs to: the systemd journal, as `Journal` of @sdrx/event does it, with its fall-back. Pino's level decides what is logged.
 *
 * `fatal` becomes `crit`, `error` `err`, `warn` `warning`, `info` `info`, `debug` and `trace` `debug`. What a line has beside its
 * message becomes fields, `userId` USER_ID say, and objects JSON; of an error ERRNO, ERROR_NAME, ERROR_CODE, ERROR_STACK and so on. The
 * journal knows by itself what `time`, `pid` and `hostname` say.
 *
 * To log never waits, so it needs no thread of its own. As the default export it is a target of `pino.transport` all the same.
 * @throws TypeError and RangeError for options that can't be
 * @example
 * const log = pino(pinoJournal());
 * log.info({ userId: 1000 }, 'logged in');
 */
export function pinoJournal(options: PinoJournalOptions = {}): Writable {
  checkObject('options', options);
  const writer = new JournalWriter({ ...options, level: 'debug' });
  const { fields = {}, messageKey = 'msg', errorKey = 'err' } = options;
  checkJournalFields(fields);
  checkText('messageKey', messageKey);
  checkText('errorKey', errorKey);
  const lines = new LineDecoder({ longestLine: LONGEST });
  const log = (line: string) => writeLine(writer, line, fields, messageKey, errorKey);
  return new Writable({
    decodeStrings: true,
    write: (bytes: Buffer, _encoding, done) => {
      for (const { text } of lines.decode(bytes)) log(text);
      done();
    },
    final: (done) => {
      for (const { text } of lines.end()) log(text);
      done();
    },
  });
}

function writeLine(
  writer: JournalWriter,
  line: string,
  fields: JournalFields,
  messageKey: string,
  errorKey: string,
): void {
  if (line === '') return;
  const entry = readPinoLine(line, messageKey, errorKey);
  writer.write({ ...entry, fields: { ...fields, ...entry.fields }, error: undefined });
}

// biome-ignore lint/style/noDefaultExport: where pino.transport looks for it
export default pinoJournal;

/* A program that logs to systemd's journal: what is short, what has lines, what is no text, and what is long. */
import { Journal, journal, sendJournalEntry } from '@sdrx/event';

const MESSAGE_ID = '8d45620c-1a43-48db-b174-10da57c60c66';
journal.notice('short', { MESSAGE_ID, WHO: ['you', 'me'] });
journal.child({ DOOR: 'front' }).info('two\nlines', { BYTES: Buffer.from([0, 1, 0xff]) });
journal.err('failed', {
  error: Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28, syscall: 'write' }),
});
new Journal({ target: 'journal', identifier: 'long' }).info('long', { LONG: 'line\n'.repeat(500_000) });
sendJournalEntry({ MESSAGE: 'raw', PRIORITY: 7 });

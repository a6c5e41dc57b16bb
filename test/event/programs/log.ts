/* A program that logs: log.js TARGET SOCKET COUNT [exit], which has it exit at once. */
import { Journal, type JournalOptions } from '@sdrx/event';

const [, , target, socket = '', count, exit] = process.argv;
const journal = new Journal({ target: target as NonNullable<JournalOptions['target']>, socket });
for (let number = 0; number < Number(count); number++) journal.info(`entry ${number}`);
if (exit === undefined) journal.warning('two\nlines \x1b[1m', { error: new TypeError('wrong', { cause: 'text' }) });
else process.exit();

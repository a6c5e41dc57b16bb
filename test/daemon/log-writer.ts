/* A program that logs: log-writer.js COUNT TEXT. Its standard output says that it has come to its end. */
import { Log } from '@sdrx/daemon';

const [count, text = ''] = process.argv.slice(2);
const log = new Log('writer');
if (process.env.TARGET === 'journal' || process.env.TARGET === 'kmsg') log.target = process.env.TARGET;
// Of a hundred kinds, as letters are not numbers, so that no limit of messages is met.
const kind = (index: number) => String(index % 100).replace(/\d/g, (digit) => 'abcdefghij'.charAt(Number(digit)));
for (let index = 0; index < Number(count); index++) log.warning(`${kind(index)} ${text}`);
process.stdout.write('done\n');
// Somebody may read now.
if (process.env.AGAIN !== undefined) {
  await new Promise((resolve) => process.stdin.once('data', resolve));
  log.warning('after all');
  process.exit(0);
}

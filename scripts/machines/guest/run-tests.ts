// Runs all tests that the file it is given names in one process: in an emulated machine to start one takes ten seconds.
import { readFileSync } from 'node:fs';
import t from 'tap';

// As a test, so that none of theirs begins before they are all read.
await t.test('the files are read', async () => {
  const [, , list = ''] = process.argv;
  for (const path of readFileSync(list, 'utf8').trim().split('\n')) await import(`/sdrx/${path}`);
});
// In place of what the last file that sets one wants. tap tells which test it was that hung.
t.setTimeout(Number(process.env.TAP_TIMEOUT) * 1000);

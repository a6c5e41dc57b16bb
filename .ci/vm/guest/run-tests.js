// Runs all tests that the file `tests` names in one process: in an emulated machine to start one takes ten seconds.
import { readFileSync } from 'node:fs';
import t from 'tap';

const limit = Number(process.env.SDRX_VM_LIMIT);
// As a test, so that none of theirs begins before they are all read.
await t.test('the files are read', async () => {
  for (const path of readFileSync('tests', 'utf8').trim().split('\n')) await import(`/sdrx/${path}`);
});
// That of the last file would stand for all. tap then tells which test it was that hung.
t.setTimeout(limit * 1000);

/* A process that takes and gives back, over and over: ledger-taker.js FOLDER MANAGER LIMIT SLOT. */
import { Ledger, LedgerSlot, SharedQuota } from '@sdrx/daemon';

const UID = 1000;
const ROUNDS = 20_000;

const [folder = '', manager, limit, slot] = process.argv.slice(2);
const ledger = Ledger.open(folder, Number(manager));
if (ledger === undefined) throw new Error('no ledger');
const quota = new SharedQuota(new LedgerSlot(ledger, Number(slot)), 'connections', { perUser: Number(limit) });
const held: Disposable[] = [];
let most = 0;
for (let round = 0; round < ROUNDS; round++) {
  const place = quota.take(UID);
  if (place !== undefined) {
    held.push(place);
    // Who is about to be refused counts for a moment, too, one for each of the others.
    most = Math.max(most, held.length);
  }
  if (place === undefined || Math.random() < 0.4) held.pop()?.[Symbol.dispose]();
}
process.stdout.write(`${JSON.stringify({ most, held: held.length })}\n`);

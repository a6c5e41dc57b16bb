import t from 'tap';
import { comeAndGo } from '../daemon/pool/come-and-go.js';

const WORKERS = 1_000_000;

t.setTimeout(900_000);

t.test('a million workers come and go in a simulated world, by the rules', async (t) => {
  const seed = Date.now() % 0x7fff_ffff;
  t.comment(`seed ${seed}`);
  const balance = await comeAndGo(WORKERS, seed);
  t.comment(JSON.stringify(balance));
  t.ok(balance.started >= WORKERS);
});

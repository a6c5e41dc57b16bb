import { readdirSync } from 'node:fs';
import { openSockets, PassedSocketsError } from '@sdrx/event';
import { describeFd, O_NONBLOCK, statusFlags } from '@sdrx/linux';

// Opens what its argument declares, and prints what came of it.
const declared = JSON.parse(process.argv[2] ?? '{}') as Record<string, string>;
// What Node opens for itself it opens now.
process.stdout.write('');
const before = readdirSync('/proc/self/fd').length;
const passed = Number(process.env.LISTEN_FDS ?? 0);
try {
  const sockets = openSockets(declared);
  const opened = Object.entries(sockets).map(([name, { fd, passed, address }]) => ({
    ...{ name, passed, address, number: fd.number },
    nonBlocking: (statusFlags(fd.number) & O_NONBLOCK) !== 0,
    is: describeFd(fd.number),
  }));
  console.log(JSON.stringify({ opened }));
  for (const socket of Object.values(sockets)) socket[Symbol.dispose]();
} catch (error) {
  const { name, message } = error as Error;
  const names = error instanceof PassedSocketsError ? error.passed : undefined;
  console.log(JSON.stringify({ error: { name, message, passed: names } }));
}
// Those that were passed are closed by now, whatever came of it.
const left = readdirSync('/proc/self/fd').length - (before - passed);
if (left !== 0) console.error(`${left} descriptors are left`);
process.exitCode = left === 0 ? 0 : 1;

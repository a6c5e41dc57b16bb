/**
 * Counts words that come as datagrams, and saves the counts once after each burst, not for every word.
 *
 *     node examples/dist/post.js @words /tmp/words.json
 *     printf hello | socat - ABSTRACT-SENDTO:words
 */
import { renameSync, writeFileSync } from 'node:fs';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { bind, read, SOCK_DGRAM, unixSocket } from '@sdrx/linux';
import { filter, merge, tap } from 'rxjs';

const loop = new EventLoop();
const [address = '@words', path = '/tmp/words.json'] = process.argv.slice(2);
using socket = unixSocket(SOCK_DGRAM);
bind(socket.number, address);

const buffer = Buffer.alloc(4096);
const counts = new Map<string, number>();
let changes = 0;
const count = loop.io(socket).pipe(
  tap(() => {
    const word = buffer.toString('utf8', 0, read(socket.number, buffer));
    counts.set(word, (counts.get(word) ?? 0) + 1);
    changes++;
  }),
);
// Its priority lets whatever is ready come first.
const save = loop.post({ priority: 10 }).pipe(
  filter(() => changes > 0),
  tap(() => {
    writeFileSync(`${path}.new`, JSON.stringify(Object.fromEntries(counts)));
    renameSync(`${path}.new`, path);
    console.log(`saved ${changes} changes`);
    changes = 0;
  }),
);
const finished = loop.run(merge(exitOnSignal(loop), count, save));
console.log(`process ${process.pid} is ready`);
process.exitCode = await finished;

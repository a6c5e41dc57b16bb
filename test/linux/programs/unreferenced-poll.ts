// Has a NodePoll that nothing refers to, collects garbage, and makes the fd readable; prints what it is told. Needs
// --expose-gc.
import { eventfd, NodePoll, write } from '@sdrx/linux';

const event = eventfd();
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function watch(): void {
  new NodePoll(event.number, () => {
    process.stdout.write('readable');
    process.exit();
  });
}

watch();
for (let round = 0; round < 5; round++) {
  await nextTurn();
  globalThis.gc?.();
}
write(event.number, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]));

// Node can't watch an eventfd. What its users have is a Unix socket: a byte written to one end is an event of the other.
import type { Socket } from 'node:net';
import { meter, task } from '../meter.js';
import { socketPair } from '../socket-pair.js';

const { work, events, width } = task();
const pairs: [Socket, Socket][] = [];
const tick = meter(events, () => {
  for (const socket of pairs.flat()) socket.destroy();
});
const byte = Buffer.alloc(1);
const writeAll = () => {
  for (const [writer] of pairs) writer.write(byte);
};

let ready = 0;
function onData(writer: Socket): void {
  if (work === 'io') {
    writer.write(byte);
  } else if (++ready === width) {
    ready = 0;
    writeAll();
  }
  tick();
}

for (let index = 0; index < width; index++) {
  const [writer, reader] = await socketPair();
  pairs.push([writer, reader]);
  reader.on('data', () => onData(writer));
}
writeAll();

// Node can't watch an eventfd. What its users have is a Unix socket: a byte written to one end is an event of the other.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { meter, task } from '../meter.js';

const { work, events, width } = task();
const ends: Socket[] = [];
const tick = meter(events, () => {
  for (const socket of ends) socket.destroy();
});
const byte = Buffer.alloc(1);

const server = createServer();
const path = `\0sdrx-bench-${process.pid}`;
server.listen(path);
const writers: Socket[] = [];
for (let index = 0; index < width; index++) {
  const writer = connect(path);
  const [[reader]] = (await Promise.all([once(server, 'connection'), once(writer, 'connect')])) as [[Socket], unknown];
  writers.push(writer);
  ends.push(writer, reader);
  reader.on('data', () => onData(writer));
}
server.close();
const makeReady = () => {
  for (const writer of writers) writer.write(byte);
};
makeReady();

let ready = 0;
function onData(writer: Socket): void {
  if (work === 'io') {
    writer.write(byte);
  } else if (++ready === width) {
    ready = 0;
    makeReady();
  }
  tick();
}

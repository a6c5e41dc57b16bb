// Calls the method METHOD with PARAMETERS (JSON) at the socket PATH without a pause until the file STOP exists, over a connection for
// each call or over one that is kept as long as it can be; then tells, as JSON, what became of them. A call is lost if it was taken, and
// not answered. What the server does not take any more (EPIPE) is asked again over another connection.
import { existsSync, writeSync } from 'node:fs';
import { connect, isSystemError, ReceiveBuffer, sendMessage, setNonBlocking, unixSocket } from '@sdrx/linux';

const [, , path = '', stop = '', kept = '', method = '', parameters = '{}'] = process.argv;
const message = Buffer.from(`{"method":"${method}","parameters":${parameters}}\0`);
const buffer = new ReceiveBuffer(65536);
const outcome = { calls: 0, connections: 0, errors: {} as Record<string, number>, lost: [] as string[] };

while (!existsSync(stop)) {
  using socket = unixSocket();
  setNonBlocking(socket.number, false);
  try {
    connect(socket.number, path);
    outcome.connections++;
  } catch (error) {
    outcome.lost.push(String(error));
    continue;
  }
  let isFirst = true;
  do {
    try {
      sendMessage(socket.number, message);
    } catch (error) {
      if (isFirst || !isSystemError(error, 'EPIPE')) outcome.lost.push(String(error));
      break;
    }
    const reply = receive(socket.number);
    if (reply === undefined) break;
    isFirst = false;
    outcome.calls++;
    const { error = 'none' } = JSON.parse(reply) as { error?: string };
    outcome.errors[error] = (outcome.errors[error] ?? 0) + 1;
  } while (kept === 'kept' && !existsSync(stop));
}
writeSync(1, JSON.stringify(outcome));

function receive(socket: number): string | undefined {
  try {
    for (let text = ''; ; ) {
      const count = buffer.receive(socket, []);
      if (count === 0) throw new Error('connection closed without a reply');
      text += buffer.bytes.toString('utf8', 0, count);
      if (text.endsWith('\0')) return text.slice(0, -1);
    }
  } catch (error) {
    outcome.lost.push(String(error));
    return undefined;
  }
}

// As user `uid`, passes what hangs when it is closed, in `count` messages (base64) over a connection each; says so, and keeps
// what it has itself until it is killed. `what` is the path of a file, or `linger`.
import { openSync, writeSync } from 'node:fs';
import { connect, Fd, sendMessage, unixSocket } from '@sdrx/linux';
import { LingeringSocket } from '../../support/lingering-socket.js';

const NOTHING = Buffer.from('{"method":"org.example.test.Nothing"}\0');

const [, , what = '', path = '', uid = '', count = '', message = NOTHING.toString('base64')] = process.argv;

const files = Array.from({ length: Number(count) }, () =>
  what === 'linger' ? new LingeringSocket() : new Fd(openSync(what, 'r')),
);
process.setgid?.(Number(uid));
process.setuid?.(Number(uid));
for (const [index, file] of files.entries()) {
  const socket = unixSocket();
  connect(socket.number, path);
  const fd = file instanceof Fd ? file : file.fd;
  const bytes = Buffer.from(message, 'base64');
  // That of a socket in two parts, see below.
  const first = file instanceof Fd ? bytes.length : 1;
  sendMessage(socket.number, bytes.subarray(0, first), { fds: [fd.number] });
  // Said now, since a receiver that refuses them may be quicker, and what is done next would hang here.
  if (index === files.length - 1) writeSync(1, 'passed\n');
  // Before the message is complete, so that the receiver's is the last one. That of a file would hang in any case.
  if (!(file instanceof Fd)) fd.close();
  try {
    sendMessage(socket.number, bytes.subarray(first));
  } catch {
    // It was refused.
  }
}
setInterval(() => {}, 1e9);

// Accepts a connection without room for its descriptor, then with; prints the error's code and whether it came.
import { accept, bind, connect, listen, unixSocket } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';
import { fillFds } from '../../support/fill-fds.js';

const listener = unixSocket();
const name = `@sdrx-test-${process.pid}`;
bind(listener.number, name);
listen(listener.number);
const client = unixSocket();
connect(client.number, name);
const filling = fillFds(0);
const codes = [errorCode(() => accept(listener.number)), errorCode(() => unixSocket())];
for (const fd of filling) fd.close();
process.stdout.write(JSON.stringify({ codes, accepted: accept(listener.number) !== undefined }));

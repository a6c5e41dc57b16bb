// Starts a program as root, becomes the user 65534, and sends it a signal; prints the error's code.
import { Fd, pipe, setNonBlocking, spawn } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';

// It ends by itself when we do.
const [reader, writer] = pipe();
setNonBlocking(reader.number, false);
const child = spawn('cat', { fds: [reader, 1, 2] });
process.setuid?.(65534);
process.stdout.write(errorCode(() => child.kill()));
new Fd(writer.take()).close();

// Becomes the user 65534 in the group 65533 and connects to the socket ARGUMENT.
import { connect, unixSocket } from '@sdrx/linux';

process.setgid?.(65533);
process.setuid?.(65534);
connect(unixSocket().number, process.argv[2] ?? '');

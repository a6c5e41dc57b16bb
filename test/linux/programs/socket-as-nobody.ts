// Becomes the user 65534, then binds in the folder ARGUMENT and connects to its `socket`; prints both errors' codes.
import { bind, connect, unixSocket } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';

const [, , folder = ''] = process.argv;
process.setuid?.(65534);
const socket = unixSocket();
const codes = [
  errorCode(() => bind(socket.number, `${folder}/new`)),
  errorCode(() => connect(socket.number, `${folder}/socket`)),
];
process.stdout.write(codes.join(' '));

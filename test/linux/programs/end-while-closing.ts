// Ends while a thread of its own hangs in close(2): by process.exit, or by having nothing more to do.
import { closeInThreads } from '@sdrx/linux';
import { LingeringSocket } from '../../support/lingering-socket.js';

const lingering = new LingeringSocket();
const [closing] = closeInThreads([lingering.fd.take()]);
setTimeout(() => {
  if (closing?.ended !== false) throw new Error('it does not hang');
  if (process.argv[2] === 'exit') process.exit(3);
}, 50);

import { checkFds, outOfRange } from '../arguments.js';
import { close, type Fd } from '../fd/fd.js';
import { socketPair } from './socket.js';
import { MAX_PASSED_FDS, sendMessage } from './socket-message.js';

const byte = Buffer.alloc(1);

/**
 * Closes sockets, up to `MAX_PASSED_FDS`, but for their being in flight to another socket, which is returned: when that one is
 * closed, nothing is left of them, and of what is in them unread. So one thread can close many. unix(7) SCM_RIGHTS
 *
 * Only for what nothing is asked of when a copy of it is closed, as is true of sockets.
 * @throws RangeError for none or too many; EMFILE, ENFILE, ETOOMANYREFS, ENOMEM, then they stay the caller's
 */
export function putInFlight(sockets: readonly number[]): Fd {
  checkFds('sockets', sockets);
  if (sockets.length === 0 || sockets.length > MAX_PASSED_FDS) {
    throw outOfRange('sockets', `1 to ${MAX_PASSED_FDS} descriptors`, sockets.length);
  }
  const [sender, receiver] = socketPair();
  try {
    sendMessage(sender.number, byte, { fds: sockets });
  } catch (error) {
    receiver.close();
    throw error;
  } finally {
    sender.close();
  }
  for (const socket of sockets) close(socket);
  return receiver;
}

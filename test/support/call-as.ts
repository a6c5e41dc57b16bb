import { type ProgramResult, runProgram } from './run-program.js';
import type { RawReply } from './varlink-call.js';

/** A user without privileges. */
export const UID = 1000;

/** Calls a method with all descriptors from 3 on, over a plain socket, and prints the reply. */
const SCRIPT = `
import socket, sys
path, message, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = socket.socket(socket.AF_UNIX)
client.connect(path)
socket.send_fds(client, [message.encode() + b'\\0'], list(range(3, 3 + count)))
text = b''
while not text.endswith(b'\\0'):
    data = client.recv(65536)
    if not data: sys.exit('closed without a reply')
    text += data
sys.stdout.write(text[:-1].decode())
`;

/** Calls a method as another user, by a client that shares no code with the daemon; blocking. */
export function callAs(
  uid: number,
  path: string,
  method: string,
  parameters: object,
  fds: readonly number[] = [],
): RawReply {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const script = ['/usr/bin/python3', '-c', SCRIPT, path, JSON.stringify({ method, parameters }), String(fds.length)];
  const { output, exit }: ProgramResult = runProgram('setpriv', [...user, ...script], {
    cwd: '/',
    fds: [null, null, 2, ...fds],
  });
  if (exit.status !== 0) throw new Error(`${method}: no reply to user ${uid}`);
  return JSON.parse(output);
}

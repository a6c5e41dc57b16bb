import { bind, connect, IN_CREATE, Inotify, memoryFile, sendMessage, spawn, unixSocket, userExists } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'a NUL in a text that goes to C is EINVAL, and the message shows it, whoever takes the text',
  leavingNothing(async (t) => {
    using socket = unixSocket();
    using inotify = new Inotify();
    const name = '/tmp\0/x';
    const calls: Readonly<Record<string, () => unknown>> = {
      'a program': () => spawn(name),
      'an argument': () => spawn('true', { args: [name] }),
      'the environment': () => spawn('true', { env: { A: name } }),
      'a working directory': () => spawn('true', { cwd: name }),
      'a socket to bind': () => bind(socket.number, name),
      'a socket to connect to': () => connect(socket.number, name),
      'a socket to send to': () => sendMessage(socket.number, Buffer.from('x'), { to: name }),
      'a memory file': () => memoryFile(name),
      'a watch': () => inotify.add(name, IN_CREATE),
      'a watch by its bytes': () => inotify.add(Buffer.from(name), IN_CREATE),
    };
    for (const [what, call] of Object.entries(calls)) {
      t.throws(call, { name: 'SystemError', code: 'EINVAL', message: /\/tmp\\0\/x/ }, what);
    }
    await t.rejects(userExists(name), { code: 'EINVAL' });
  }),
);

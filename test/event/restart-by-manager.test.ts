import { connect, type Socket } from 'node:net';
import { listenUnix } from '@sdrx/event';
import { accept, type ChildProcess, type Fd, setNonBlocking, spawn, WEXITED, WNOHANG, waitPidfd } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { ServiceManager } from '../support/service-manager.js';
import { until } from '../support/until.js';
import { plainEnvironment } from './run-node.js';

const program = programPath('./programs/kept-service.js', import.meta.url);

/** Starts the service as a service manager does, with these descriptors by their names. */
function start(fds: readonly (readonly [string, Fd])[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const names = fds.map(([name]) => name).join(':');
  const variables = `export LISTEN_PID=$$ LISTEN_FDS=${fds.length} LISTEN_FDNAMES='${names}'; unset LISTEN_PIDFDID;`;
  return spawn('sh', {
    args: ['-c', `${variables} exec "$0" "$@"`, process.execPath, program],
    env: { ...plainEnvironment, NOTIFY_SOCKET: undefined, ...env },
    fds: [null, 2, 2, ...fds.map(([, fd]) => fd)],
  });
}

async function ended(child: ChildProcess): Promise<unknown> {
  let change: unknown;
  await until(() => {
    change ??= waitPidfd(child.pidfd.number, WEXITED | WNOHANG);
    return change !== undefined;
  });
  child[Symbol.dispose]();
  return change;
}

/** Asks for a path, over a connection of its own. */
function ask(socket: Socket, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', reject).on('close', () => resolve(text.slice(text.indexOf('\r\n\r\n') + 4)));
    socket.write(`GET ${path} HTTP/1.0\r\n\r\n`);
  });
}

t.test(
  'the service manager starts the next process, which has the state, the last words and the descriptors',
  async (t) => {
    using folder = new Folder();
    using web = listenUnix(folder.join('web'));
    setNonBlocking(web.fd.number, false);
    const manager = new ServiceManager(t);
    const env = { NOTIFY_SOCKET: manager.notifySocket, FDSTORE: '16' };
    const get = (path: string) => ask(connect(folder.join('web')), path);

    const first = start([['web', web.fd]], env);
    t.match(JSON.parse(await get('/')), { pid: first.pid, before: null, last: null, kept: false, generation: 0 });
    t.equal(await get('/restart'), 'restarts undefined\n');
    // It waits in the socket for the next one.
    const waiting = get('/');
    t.match(await ended(first), { code: 'exited', status: 0 });
    await manager.waitFor(/^STOPPING=1$/m);
    t.strictSame([...manager.stored.keys()].sort(), ['sdrx.fd.kept', 'sdrx.last', 'sdrx.state']);

    const stored = () => [...manager.stored].flatMap(([name, fds]) => fds.map((fd) => [name, fd] as const));
    const second = start([['web', web.fd], ...stored()], env);
    t.match(JSON.parse(await waiting), { pid: second.pid, before: 2, last: 'the end', kept: true, generation: 1 });
    // As `systemctl restart` ends it.
    second.kill('SIGTERM');
    t.match(await ended(second), { code: 'exited', status: 0 });
    await until(() => manager.notifications.filter((text) => /FDNAME=sdrx\.last/.test(text)).length >= 4);

    const third = start([['web', web.fd], ...stored()], env);
    t.match(JSON.parse(await get('/')), { before: 1, generation: 2, kept: true });
    third.kill('SIGKILL');
    await ended(third);
    // After a crash what was left before it is there still.
    const fourth = start([['web', web.fd], ...stored()], env);
    t.match(JSON.parse(await get('/')), { before: 1, generation: 2, kept: true });
    fourth.kill('SIGTERM');
    await ended(fourth);
  },
);

t.test('without a service manager nobody would start it again, so it stays', async (t) => {
  using folder = new Folder();
  using web = listenUnix(folder.join('web'));
  const child = start([['web', web.fd]]);
  t.equal(await ask(connect(folder.join('web')), '/restart'), 'refused: manager\n');
  child.kill('SIGTERM');
  t.match(await ended(child), { code: 'exited', status: 0 });
});

t.test(
  'one connection, as of a socket unit with Accept=yes, is served, and the service ends with it',
  leavingNothing(async (t) => {
    using folder = new Folder();
    using web = listenUnix(folder.join('web'));
    const client = connect(folder.join('web'));
    let connection: Fd | undefined;
    await until(() => {
      connection ??= accept(web.fd.number);
      return connection !== undefined;
    });
    using accepted = connection as Fd;
    // As systemd names it.
    const child = start([['connection', accepted]]);
    accepted.close();
    t.equal(await ask(client, '/restart'), 'refused: connection\n');
    t.match(await ended(child), { code: 'exited', status: 0 });
  }),
);

import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { listenInet, listenUnix, type SocketDeclarations } from '@sdrx/event';
import { type Fd, setNonBlocking } from '@sdrx/linux';
import t from 'tap';
import { processFds } from '../support/process-fds.js';
import { Restartable } from './restartable.js';

/** The inodes of the sockets that a process listens on or has bound, by what /proc/net says. */
function socketsOf(pid: number): Set<string> {
  return new Set([...processFds(pid).values()].filter((what) => what.startsWith('socket:')));
}

/** Whether both processes have a socket in common. */
function share(one: Set<string>, other: Set<string>): string[] {
  return [...one].filter((socket) => other.has(socket));
}

async function restarted(service: Restartable, generation: number): Promise<number> {
  const from =
    generation === 1 ? service.pid : (await service.hears({ what: 'current', generation: generation - 1 })).pid;
  service.kill('SIGHUP', from);
  const { pid } = await service.hears({ what: 'current', generation });
  return pid;
}

t.test('sockets of every kind are handed on, in whatever way their address is written', async (t) => {
  const free = listenInet('::1', 0);
  const port = free.address.family === 'inet6' ? free.address.port : 0;
  free[Symbol.dispose]();
  const sockets: SocketDeclarations = {
    any: 'tcp:127.0.0.1:0',
    six: `tcp:[::1]:${port}`,
    udp: 'udp:127.0.0.1:0',
    abstract: `unix:@sdrx-test-${process.pid}`,
  };
  const service = new Restartable(t, { options: { sockets } });
  const more = {
    packets: `unix-seqpacket:${service.folder.join('packets')}`,
    datagrams: `unix-datagram:${service.folder.join('datagrams')}`,
  };
  service.lives({ options: { sockets: { ...sockets, ...more } } });
  await service.hears('current');
  const held = socketsOf(service.pid);
  // Declared newly: made by the new one.
  const second = await restarted(service, 1);
  t.ok(existsSync(service.folder.join('packets')));
  const shared = share(held, socketsOf(second));
  t.ok(shared.length >= 5, `four and the control socket: ${shared.length}`);
  service.lives({ options: { sockets: { ...sockets, ...more, six: `tcp:[0:0:0:0:0:0:0:1]:${port}` } } });
  await service.gone(service.pid);
  const all = socketsOf(second);
  const third = await restarted(service, 2);
  t.ok(share(all, socketsOf(third)).length >= 7);
  await service.gone(second);
  service.kill('SIGTERM', third);
  await service.allGone();
  t.strictSame(service.litter, []);
});

t.test('one that the new program does not declare goes: its path, and whoever connects is refused', async (t) => {
  const free = listenInet('127.0.0.1', 0);
  const port = free.address.family === 'inet' ? free.address.port : 0;
  free[Symbol.dispose]();
  const service = new Restartable(t);
  const [path, tcp] = [service.folder.join('odd'), `tcp:127.0.0.1:${port}`];
  service.lives({ options: { sockets: { web: `unix:${service.web}`, odd: `unix:${path}`, tcp } } });
  await service.hears('current');
  const second = await restarted(service, 1);
  t.ok(existsSync(path));
  const waiting = connect(port, '127.0.0.1');
  const waited = new Promise((resolve) => waiting.on('error', resolve).on('close', resolve).resume());
  await once(waiting, 'connect');
  service.lives({});
  const kept = await service.ask('/?ms=0');
  t.equal(kept, second);
  const slow = service.ask('/?ms=1500');
  await service.ask();
  const third = await restarted(service, 2);
  await service.until(() => !existsSync(path), 'the path to go');
  // Though the old one has it open still, nobody waits for it.
  const [error] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
  t.equal(error.code, 'ECONNREFUSED');
  await waited;
  t.equal(await slow, second);
  t.equal(await service.ask(), third);
});

t.test(
  'one whose address has changed is made anew, the old path goes; as does that of the control socket',
  async (t) => {
    const service = new Restartable(t);
    await service.hears('current');
    const [web, control] = [service.folder.join('web2'), service.folder.join('control2')];
    service.lives({ options: { sockets: { web: `unix:${web}` }, control } });
    const load = service.load(1);
    await service.ask();
    const second = await restarted(service, 1);
    await service.until(() => !existsSync(service.web) && !existsSync(service.control), 'the old paths to go');
    await load.stop();
    t.strictSame(service.litter.sort(), ['control2', 'web2']);
    service.kill('SIGTERM', second);
    await service.allGone();
    t.strictSame(service.litter, []);
  },
);

/** Has the service manager's sockets passed. */
function activated(
  t: import('tap').Test,
  fds: readonly (readonly [name: string, fd: Fd])[],
  sockets: SocketDeclarations,
  conflicts = {},
): Restartable {
  const names = fds.map(([name]) => name).join(':');
  // As they come they have numbers that Node needs for its own: moved to where they belong.
  const script = `export LISTEN_PID=$$ LISTEN_FDS=${fds.length} LISTEN_FDNAMES='${names}'; exec "$0" "$@" ${fds.map((_, index) => `${index + 3}<&${index + 3}`).join(' ')}`;
  return new Restartable(
    t,
    { options: { sockets, conflicts } },
    { wrapper: ['sh', '-c', script], fds: fds.map(([, fd]) => fd.number) },
  );
}

t.test('what the service manager has passed is passed on, by its name, and stays when the service ends', async (t) => {
  const service0 = new Restartable(t);
  const path = service0.folder.join('passed');
  using passed = listenUnix(path);
  setNonBlocking(passed.fd.number, false);
  const service = activated(t, [['foo.socket', passed.fd]], { web: 'tcp:127.0.0.1:1' });
  t.match(await service.hears('start'), { activated: true });
  await service.hears('current');
  const second = await restarted(service, 1);
  t.match(await service.hears({ what: 'start', generation: 1 }), { activated: true });
  t.equal(await service.ask('/', path), second);
  // The new program asks for something else.
  service.lives({ options: { sockets: { web: { type: 'datagram' } } } });
  service.kill('SIGHUP', second);
  t.match(await service.hears('restart-failed'), {
    reason: 'failed',
    message: /the passed socket 'web' must be a datagram socket, it is a listening stream socket/,
  });
  service.lives({ options: { sockets: { other: 'tcp:127.0.0.1:1' } } });
  service.kill('SIGHUP', second);
  t.match(await service.hears('restart-failed', 2), { reason: 'failed', message: /no socket 'other' was passed/ });
  service.lives({
    options: { sockets: { web: {} }, conflicts: { '--listen': 'tcp:1', '--port': 7, '--not': undefined } },
  });
  service.kill('SIGHUP', second);
  t.match(await service.hears('restart-failed', 3), {
    message: /--listen and --port can't be given to a service that is activated/,
  });
  t.equal(await service.ask('/', path), second);
  service.kill('SIGTERM', second);
  await service.allGone();
  t.ok(existsSync(path));
  // A client waits in the queue, for the next one.
  const next = connect(path);
  await once(next, 'connect');
  next.destroy();
});

t.test('an activated service that is also told where to listen names each option, and ends', async (t) => {
  const folder = new Restartable(t);
  using passed = listenUnix(folder.folder.join('passed'));
  const service = activated(t, [['web', passed.fd]], { web: 'tcp:127.0.0.1:1' }, { '--listen': 'tcp:1', '--port': 7 });
  t.match(await service.exit(), { code: 1 });
  t.match(await service.hears('report'), {
    message: /^--listen and --port can't be given to a service that is activated with its sockets \('web'\)/,
  });
  await service.allGone();
});

t.test('a path that somebody has removed or taken stays so', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  rmSync(service.web);
  using other = listenUnix(service.web);
  const second = await restarted(service, 1);
  await service.gone(service.pid);
  service.kill('SIGTERM', second);
  await service.allGone();
  t.ok(existsSync(service.web));
  t.ok(other.fd.number > 0);
});

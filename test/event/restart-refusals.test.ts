import { readdirSync, writeFileSync } from 'node:fs';
import { askService, ControlError } from '@sdrx/event';
import { bind, SOCK_DGRAM, sendMessage, spawn, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { settled } from '../support/settled.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { isAlive, kindsOpen, Restartable, WebSocketLike } from './restartable.js';

t.test(
  'asked for twice within a moment: the second one is refused, and its reload is answered by the new process',
  async (t) => {
    const service = new Restartable(t, { deeds: { spawned: 'be asked to restart', told: 'be asked to restart' } });
    await service.hears('current');
    service.kill('SIGHUP');
    t.match(await service.hears('report'), { message: /^not restarted: a restart is under way/ });
    t.match(await service.hears('report', 2), { message: /^not restarted: a restart is under way/ });
    const { pid } = await service.hears({ what: 'current', generation: 1 });
    await service.manager.waitFor(/^RELOADING=1\nMONOTONIC_USEC=\d+\nREADY=1$/);
    const told = service.manager.notifications.filter((text) => /READY|RELOADING/.test(text));
    t.match(told, [
      'READY=1',
      /^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=restarting$/,
      `MAINPID=${pid}\nREADY=1\nSTATUS=`,
      /^RELOADING=1\nMONOTONIC_USEC=\d+\nREADY=1$/,
    ]);
  },
);

t.test('asked for by the program itself, in the middle of a restart', async (t) => {
  const service = new Restartable(t, { deeds: { spawned: 'restart' } });
  await service.hears('current');
  service.kill('SIGHUP');
  t.match(await service.hears('refused'), { message: /a restart is under way/ });
  await service.hears({ what: 'current', generation: 1 });
  t.equal(service.said.filter(({ what }) => what === 'spawned').length, 1);
});

t.test('a storm of fifty signals is one restart, and all that were told RELOADING are told READY', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  const load = service.load(2);
  for (let count = 0; count < 50; count++) {
    service.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await service.hears({ what: 'current', generation: 1 });
  await service.gone(service.pid);
  const { errors } = await load.stop();
  t.strictSame(errors, []);
  const told = service.manager.notifications;
  t.ok(told.findLastIndex((text) => /READY=1/.test(text)) >= told.findLastIndex((text) => /RELOADING/.test(text)));
  t.equal(service.said.filter(({ what }) => what === 'spawned').length, 1);
});

t.test('too many former processes have connections; by the control socket it is said, too', async (t) => {
  const service = new Restartable(t, { options: { restart: { mostDraining: 1 } } });
  await service.hears('current');
  const held: Promise<unknown>[] = [];
  for (let generation = 0; generation < 2; generation++) {
    const { pid } = await service.hears({ what: 'current', generation });
    held.push(service.ask('/?ms=120000').catch(() => {}));
    await service.ask();
    service.kill('SIGHUP', pid);
  }
  const { pid } = await service.hears({ what: 'current', generation: 2 });
  const words = /too many former processes still have connections.*\(2 processes, at most 1\)/;
  await t.rejects(askService(service.control, 'restart'), { name: 'ControlError', message: words });
  t.match(await askService(service.control, 'status'), `process ${pid}, restarted 2 times, 2 former processes`);
  t.match(await service.manager.waitFor(/^RELOADING.*\n.*\nREADY=1\nSTATUS=not restarted/), words);
  // When one of them is gone it goes.
  service.kill('SIGKILL');
  await service.gone(service.pid);
  t.match(await retried(() => askService(service.control, 'restart')), /^process \d+ is the service$/);
  for (const each of service.pids) if (isAlive(each)) service.kill('SIGKILL', each);
  await Promise.all(held);
});

/** Until the service has noticed what has changed. */
async function retried(ask: () => Promise<string>): Promise<string> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

t.test('one that ends, or has given way, does not restart', async (t) => {
  const service = new Restartable(t, { deeds: { ending: 'be asked to restart' } });
  await service.hears('current');
  const held = await WebSocketLike.open(service.web);
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  t.match(await service.hears({ what: 'report', pid: service.pid }), {
    message: `not restarted: another process has taken over from this one: ask that one (process ${pid})`,
  });
  // The reload that was asked of it is answered by who is the service.
  await service.manager.waitFor(/^RELOADING=1\nMONOTONIC_USEC=\d+\nREADY=1$/);
  held.end();
  await service.gone(service.pid);
  const slow = service.ask('/?ms=1000');
  await service.ask();
  service.kill('SIGTERM', pid);
  t.match(await service.hears({ what: 'report', pid }), { message: /^not restarted: the service is ending/ });
  t.equal(await slow, pid);
  await service.allGone();
  const told = service.manager.notifications;
  t.equal(told.at(-1), 'STOPPING=1', 'nothing is said after that');
});

t.test('the next program is broken: it is told why, and all is as before', async (t) => {
  const service = new Restartable(t, {}, {});
  const { pid } = service;
  await service.hears('current');
  const cases = [
    [{ deeds: { start: 'throw' } }, 'failed', /thrown at start/],
    [{ deeds: { start: 'exit' } }, 'died', /exited 0/],
    [{ deeds: { start: 'kill itself' } }, 'died', /killed 9/],
    [{ deeds: { start: 'stop' } }, 'failed', /it was told to end/],
    [{ deeds: { start: 'be told to end' } }, 'failed', /it was told to end/],
    [{ deeds: { resumes: 'kill itself' } }, 'died', /killed 9/],
    [{ options: { sockets: { web: 'tcp:192.0.2.1:80' } } }, 'failed', /EADDRNOTAVAIL/],
    [{ options: { sockets: { web: `unix:${service.web}`, more: 'tcp:192.0.2.1:80' } } }, 'failed', /EADDRNOTAVAIL/],
    [
      { options: { sockets: { web: `unix:${service.web}`, more: `unix:${service.web}2` }, pidFile: '/nowhere/pid' } },
      'failed',
      /ENOENT/,
    ],
  ] as const;
  let before: string[] | undefined;
  let count = 0;
  for (const [life, reason, words] of cases) {
    service.lives(life as never);
    service.kill('SIGHUP');
    const failed = await service.hears('restart-failed', ++count);
    t.equal(failed.reason, reason, JSON.stringify(life));
    t.match(failed.message, words);
    t.equal(await service.ask(), pid);
    t.equal(service.owner, pid);
    t.match(await askService(service.control, 'status'), `process ${pid}`);
    t.strictSame(service.litter, []);
    t.strictSame(service.pids.filter(isAlive), [pid]);
    // Connections of the last requests are closed a moment later.
    await settled(pid);
    before ??= kindsOpen(pid);
    t.strictSame(kindsOpen(pid), before, JSON.stringify(life));
  }
  t.notMatch(service.manager.notifications.join('\n'), /STOPPING|MAINPID/);
  t.notOk(service.said.some(({ what, pid: by }) => what === 'ending' && by === pid));
  service.lives({});
  service.kill('SIGHUP');
  const { pid: next } = await service.hears({ what: 'current', generation: 1 });
  await service.gone(pid);
  t.equal(await service.ask(), next);
});

t.test('what the program itself can not hand on is its failure', async (t) => {
  const service = new Restartable(t, { hands: 'throws' });
  await service.hears('current');
  await t.rejects(askService(service.control, 'restart'), { message: /could not start \(nothing to hand on\)/ });
  t.match(await service.hears('restart-failed'), { reason: 'failed' });
  t.equal(await service.ask(), service.pid);
});

t.test('few descriptors are left', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  waitForExit(spawn('prlimit', { args: [`--pid=${service.pid}`, '--nofile=50'] }));
  await t.rejects(askService(service.control, 'restart'), {
    message: /too few descriptors are left.*\(\d+ are free\)/,
  });
  t.equal(await service.ask(), service.pid);
});

t.test('there is no room for the PID file', async (t) => {
  using folder = new Folder();
  const mount = spawn('mount', { args: ['-t', 'tmpfs', '-o', 'size=16k', 'none', folder.path] });
  t.match(waitForExit(mount), { status: 0 });
  try {
    const life = { options: { pidFile: folder.join('pid') } };
    const service = new Restartable(t, life);
    await service.hears('current');
    t.throws(() => writeFileSync(folder.join('full'), Buffer.alloc(65_536)), { code: 'ENOSPC' });
    service.kill('SIGHUP');
    t.match(await service.hears('restart-failed'), { reason: 'failed', message: /ENOSPC/ });
    t.equal(await service.ask(), service.pid);
    service.kill('SIGTERM');
    await service.allGone();
    t.strictSame(readdirSync(folder.path), ['full']);
  } finally {
    waitForExit(spawn('umount', { args: [folder.path] }));
  }
});

t.test('a service manager that has no room and does not answer is waited for a while, and no longer', async (t) => {
  using folder = new Folder();
  const address = folder.join('deaf');
  using deaf = unixSocket(SOCK_DGRAM);
  bind(deaf.number, address);
  const service = new Restartable(t, {}, { env: { NOTIFY_SOCKET: address } });
  await service.hears('current');
  using sender = unixSocket(SOCK_DGRAM);
  while (sendMessage(sender.number, Buffer.from('STATUS=full'), { to: address }) !== undefined);
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  t.match(await service.exit(), { code: 0 });
  t.equal(await service.ask(), pid);
  t.equal(service.owner, pid);
});

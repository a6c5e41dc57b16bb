import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import type { RestartPhase } from '@sdrx/event';
import t from 'tap';
import { isAlive, Restartable, WebSocketLike } from './restartable.js';

const phases = ['spawned', 'taken', 'state-sent', 'ready', 'accept', 'accepting', 'told', 'heard'] as const;
/**
 * A signal is dealt with by the loop, a moment later than it comes. At 'accept' the new process may have answered by then, so that
 * either is right.
 */
const early: readonly RestartPhase[] = phases.slice(0, 4);

function checkEnd(t: import('tap').Test, service: Restartable): void {
  t.notOk(existsSync(service.web) || existsSync(service.pidFile) || existsSync(service.control));
  t.strictSame(service.litter, []);
  const told = service.manager.notifications;
  t.equal(told.filter((text) => text === 'STOPPING=1').length, 1, told.join());
  t.equal(told.at(-1), 'STOPPING=1');
}

for (const phase of phases) {
  t.test(`told to end at '${phase}': the service ends, and all of it`, async (t) => {
    const service = new Restartable(t, { deeds: { [phase]: 'be told to end' } });
    await service.hears('current');
    const slow = service.ask('/?ms=300');
    await service.ask();
    service.kill('SIGHUP');
    t.equal(await slow, service.pid);
    t.match(await service.exit(), { code: 0, signal: null });
    await service.allGone();
    if (early.includes(phase)) t.match(await service.hears('restart-failed'), { reason: 'stopping' });
    else if (phase !== 'accept') t.match(await service.hears('restarted'), {});
    checkEnd(t, service);
  });
}

for (const phase of ['state-sent', 'accept', 'accepting', 'told', 'main'] as const) {
  t.test(`the new process is told to end at '${phase}': the service goes on or ends, not half`, async (t) => {
    const service = new Restartable(t, { deeds: { [phase]: 'tell the new one to end' } });
    await service.hears('current');
    service.kill('SIGHUP');
    await service.until(
      () => service.said.some(({ what }) => what === 'restart-failed' || what === 'restarted'),
      'the restart to be over',
    );
    if (service.said.some(({ what }) => what === 'restarted')) {
      // It was the service's end by then, or soon.
      await service.allGone();
      checkEnd(t, service);
    } else {
      t.equal(await service.ask(), service.pid);
      t.equal(service.owner, service.pid);
      t.notMatch(service.manager.notifications.join('\n'), /STOPPING/);
      await service.until(() => service.pids.filter(isAlive).length === 1, 'the new one to end');
    }
  });
}

t.test('both are told to end at a time, as by systemctl stop', async (t) => {
  for (const phase of ['state-sent', 'accepting', 'told', 'main'] as const) {
    const service = new Restartable(t, { deeds: { [phase]: 'be told to end' } });
    await service.hears('current');
    service.kill('SIGHUP');
    const { new: next } = await service.hears(phase);
    try {
      process.kill(Number(next), 'SIGTERM');
    } catch {}
    await service.allGone();
    checkEnd(t, service);
  }
});

t.test('the one that gives way is told to end when it is not the service any more: that goes on', async (t) => {
  const service = new Restartable(t, { deeds: { main: 'be told to end' } });
  await service.hears('current');
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  t.match(await service.exit(), { code: 0, signal: null });
  t.equal(await service.ask(), pid);
});

t.test('told to end twice while it is not clear who goes on: the successor keeps its paths', async (t) => {
  const service = new Restartable(t, { deeds: { told: 'be told to end' } });
  await service.hears('current');
  service.kill('SIGHUP');
  await service.hears('told');
  service.kill('SIGTERM');
  await service.allGone();
  checkEnd(t, service);
});

t.test(
  'the one that drains ignores a first signal, as all of a unit get one, and ends at once by a second',
  async (t) => {
    const service = new Restartable(t);
    await service.hears('current');
    const slow = service.ask('/?ms=60000').catch(() => 'broken off');
    await service.ask();
    service.kill('SIGHUP');
    const { pid } = await service.hears({ what: 'current', generation: 1 });
    // Until the old one knows, a signal to it is one to the service.
    await service.hears('main');
    service.kill('SIGTERM');
    t.equal(await service.ask(), pid);
    t.ok(isAlive(service.pid));
    service.kill('SIGTERM');
    t.equal(await slow, 'broken off');
    t.match(await service.exit(), { code: 0 });
    t.equal(await service.ask(), pid);
    t.equal(service.owner, pid);
  },
);

t.test('the service ends: it waits for the one that drains, and hurries it by a second signal', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  const slow = service.ask('/?ms=60000').catch(() => 'broken off');
  await service.ask();
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  service.kill('SIGTERM', pid);
  await service.hears({ what: 'ending', pid });
  t.ok(isAlive(service.pid));
  service.kill('SIGTERM', pid);
  t.equal(await slow, 'broken off');
  await service.allGone();
  checkEnd(t, service);
});

t.test('a WebSocket lives in its own process through two restarts, is told 1012, and counts', async (t) => {
  const service = new Restartable(t, { options: { deadline: 120_000, restart: { mostDraining: 1 } } });
  await service.hears('current');
  const held = await WebSocketLike.open(service.web);
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  await service.until(() => held.received(Buffer.from([0x88, 0x02, 0x03, 0xf4])), 'the close frame');
  service.kill('SIGHUP', pid);
  const { pid: third } = await service.hears({ what: 'current', generation: 2 });
  // The second one has no connection, and waits for nobody.
  await service.gone(pid);
  held.write('still here');
  await service.until(() => held.received('still here'), 'the echo');
  service.lives({ options: { restart: { mostDraining: 0 } } });
  service.kill('SIGHUP', third);
  const { pid: fourth } = await service.hears({ what: 'current', generation: 3 });
  await service.gone(third);
  service.kill('SIGHUP', fourth);
  t.match(await service.hears('report'), { message: /too many former processes.*\(1 processes, at most 0\)/ });
  held.end();
  t.match(await service.exit(), { code: 0 });
  service.kill('SIGTERM', fourth);
  await service.allGone();
});

t.test('no idle exit during a restart, and none of a process that has given way', async (t) => {
  const service = new Restartable(t, { options: { idle: { after: 100, minimumUptime: 0, always: true } }, deeds: {} });
  // It must be asked before it is idle.
  await service.hears('current');
  const busy = connect(service.web);
  await once(busy, 'connect');
  service.lives({ startTakes: 500 });
  service.kill('SIGHUP');
  await service.hears('spawned');
  busy.destroy();
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  await service.gone(service.pid);
  t.notOk(service.said.some(({ why }) => why === 'idle'));
  t.equal(await service.ask(), pid);
});

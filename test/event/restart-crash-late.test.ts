import t from 'tap';
import { Restartable } from './restartable.js';

/** Without a service manager. */
const alone = { env: { NOTIFY_SOCKET: undefined } };

t.test(
  'the new process is killed when it is the service: the old one finishes what it had begun, and ends',
  async (t) => {
    const service = new Restartable(t, { deeds: { main: 'kill the new one' } }, alone);
    await service.hears('current');
    const slow = service.ask('/?ms=700');
    const load = service.load();
    await service.ask();
    service.kill('SIGHUP');
    t.equal(await slow, service.pid);
    t.match(await service.exit(), { code: 0, signal: null });
    await service.allGone();
    // A loss that is real, as of any service that is killed: whoever watches over it starts it anew.
    await load.stop();
  },
);

t.test('where there is a service manager it ends at once: before, nobody would start the service anew', async (t) => {
  const service = new Restartable(t, { deeds: { main: 'kill the new one' } });
  await service.hears('current');
  const slow = service.ask('/?ms=60000').catch(() => 'broken off');
  await service.ask();
  service.kill('SIGHUP');
  t.equal(await slow, 'broken off');
  const said = () => service.said.some(({ what, message }) => what === 'report' && /has ended$/.test(String(message)));
  await service.until(said, 'the end of the new one to be told');
  t.match(await service.exit(), { code: 0, signal: null });
  await service.allGone();
  t.notMatch(service.manager.notifications.join('\n'), /STOPPING/);
});

t.test('the old process is killed while it drains: what it had begun is lost, no more', async (t) => {
  const service = new Restartable(t, { deeds: {} });
  await service.hears('current');
  const slow = service.ask('/?ms=60000').catch(() => 'lost');
  await service.ask();
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  service.kill('SIGKILL');
  t.equal(await slow, 'lost');
  t.equal(await service.ask(), pid);
  await service.gone(service.pid);
  t.notOk(service.said.some(({ what }) => what === 'last'));
});

t.test('the new process is killed before it gets the last words: the old one ends all the same', async (t) => {
  const service = new Restartable(t, { last: { count: 3 } }, alone);
  await service.hears('current');
  const slow = service.ask('/?ms=700');
  await service.ask();
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  service.kill('SIGKILL', pid);
  await service.gone(pid);
  t.equal(await slow, service.pid);
  t.match(await service.exit(), { code: 0 });
});

t.test('the last words come when all connections have ended', async (t) => {
  const service = new Restartable(t, { state: { count: 1 }, last: { count: 3 } });
  await service.hears('current');
  const slow = service.ask('/?ms=700');
  await service.ask();
  service.kill('SIGHUP');
  t.match(await service.hears({ what: 'start', generation: 1 }), { state: { count: 1 } });
  t.match(await service.hears('last'), { value: { count: 3 } });
  t.equal(await slow, service.pid);
});

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { askService, runService } from '@sdrx/event';
import t from 'tap';
import { Restartable } from './restartable.js';

t.test('a service says READY when its start is done, STOPPING once, and ends with 0', async (t) => {
  const service = new Restartable(t, { startTakes: 300 });
  await service.hears('start');
  t.strictSame(service.manager.notifications, []);
  await service.hears('current');
  const slow = service.ask('/?ms=400');
  await service.ask();
  service.kill('SIGTERM');
  t.equal(await slow, service.pid);
  t.match(await service.exit(), { code: 0, signal: null });
  await service.allGone();
  t.strictSame(service.manager.notifications, ['READY=1', 'STOPPING=1']);
  t.strictSame(
    service.said.map(({ what }) => what),
    ['start', 'current', 'ending', 'first step', 'end'],
  );
  t.notOk(existsSync(service.web) || existsSync(service.pidFile) || existsSync(service.control));
});

t.test('what the program has added is ended after its connections, with a control socket or without', async (t) => {
  for (const control of [true, false]) {
    const service = new Restartable(t, control ? {} : { options: { control: undefined } as never });
    await service.hears('current');
    const slow = service.ask('/?ms=500').then((pid) => {
      t.notOk(service.said.some(({ what }) => what === 'first step'));
      return pid;
    });
    await service.ask();
    service.kill('SIGTERM');
    t.equal(await slow, service.pid);
    await service.allGone();
  }
});

for (const deed of ['throw', 'hang'] as const) {
  t.test(`a start that does '${deed}'`, async (t) => {
    const service = new Restartable(t, { deeds: { start: deed } });
    await service.hears('start');
    if (deed === 'hang') service.kill('SIGTERM');
    t.match(await service.exit(), { code: deed === 'hang' ? 0 : 1 });
    await service.allGone();
    const told = service.manager.notifications;
    if (deed === 'throw') t.strictSame(told, ['STATUS=thrown at start', 'STOPPING=1']);
    else t.strictSame(told, ['STOPPING=1']);
    t.strictSame(service.litter, []);
    t.notOk(existsSync(service.web) || existsSync(service.pidFile));
  });
}

t.test('a restart that is asked for during the start is refused, and nobody is told READY', async (t) => {
  const service = new Restartable(t, { startTakes: 600 });
  await service.hears('start');
  service.kill('SIGHUP');
  t.match(await service.hears('report'), { message: /^not restarted: the service is not ready itself yet/ });
  t.strictSame(service.manager.notifications, []);
  await service.hears('current');
  await service.manager.waitFor(/^READY=1$/);
});

t.test('a second signal breaks off what is under way', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  const slow = service.ask('/?ms=60000').catch(() => 'broken off');
  await service.ask();
  service.kill('SIGTERM');
  await service.hears('ending');
  t.match(await askService(service.control, 'status'), /^process/, 'it is controlled to its end');
  service.kill('SIGINT');
  t.equal(await slow, 'broken off');
  t.match(await service.exit(), { code: 0 });
});

t.test(
  'the deadline breaks off what is under way, with status 0 and a word; the watchdog is fed to the end',
  async (t) => {
    const service = new Restartable(t, { options: { deadline: 1500 } }, { env: { WATCHDOG_USEC: '200000' } });
    await service.hears('current');
    const slow = service.ask('/?ms=60000').catch(() => 'broken off');
    await service.ask();
    service.kill('SIGTERM');
    await service.manager.waitFor(/STOPPING/);
    const signs = () => service.manager.notifications.filter((text) => text === 'WATCHDOG=1').length;
    const before = signs();
    await service.until(() => signs() > before + 3, 'signs of life');
    t.equal(await slow, 'broken off');
    t.match(await service.hears('report'), { message: /'connections' took longer than 1500 ms and was broken off/ });
    t.match(await service.exit(), { code: 0 });
  },
);

t.test('steps of the end that fail or hang keep nothing else from ending; the status is 1', async (t) => {
  const service = new Restartable(t, { options: { deadline: 300 }, steps: ['fails', 'hangs'] });
  await service.hears('current');
  service.kill('SIGTERM');
  t.match(await service.exit(), { code: 1 });
  t.match(await service.hears('report'), { message: /'step that hangs' took longer.*has not ended.*no end/ });
  t.ok(service.said.some(({ what }) => what === 'first step'));
  t.notOk(existsSync(service.web) || existsSync(service.pidFile) || existsSync(service.control));
});

t.test('what the program has left open does not keep the process', async (t) => {
  const service = new Restartable(t, { lingers: true });
  await service.hears('current');
  service.kill('SIGTERM');
  t.match(await service.exit(), { code: 0 });
  await service.allGone();
  t.match(service.complaints, /the service has ended, but the process would go on: .*Timeout/);
});

t.test('a service manager that is gone keeps nothing from going on', async (t) => {
  const env = { NOTIFY_SOCKET: '/nowhere/notify', WATCHDOG_USEC: '100000' };
  const service = new Restartable(t, { last: 7 }, { env });
  await service.hears('current');
  service.kill('SIGHUP');
  const { pid } = await service.hears({ what: 'current', generation: 1 });
  await service.gone(service.pid);
  t.match(await service.exit(), { code: 0, signal: null });
  t.equal(await service.ask(), pid);
  service.kill('SIGTERM', pid);
  await service.allGone();
  t.match(await service.hears({ what: 'end', pid }), { status: 0 });
  t.match(await service.hears('warning'), { message: /the service manager was not told READY: ENOENT/ });
});

t.test('a second one that is started beside it is refused, and takes nothing from it', async (t) => {
  const service = new Restartable(t);
  await service.hears('current');
  const options = { sockets: {}, pidFile: service.pidFile, control: service.folder.join('other') };
  const second = new Restartable(t, { options });
  t.match(await second.exit(), { code: 1 });
  t.match(second.said, [
    { what: 'report', message: `the service runs already, as process ${service.pid}: it holds` },
    {},
  ]);
  t.equal(service.owner, service.pid);
  t.strictSame(service.litter, []);
  t.equal(await service.ask(), service.pid);
});

t.test('it leaves when it is idle, not before its connections have', async (t) => {
  const service = new Restartable(t, { options: { idle: { after: 300, minimumUptime: 0, always: true } } });
  await service.hears('current');
  const held = connect(service.web);
  await once(held, 'connect');
  const control = connect(service.control);
  await once(control, 'connect');
  await new Promise((resolve) => setTimeout(resolve, 900));
  t.notOk(service.said.some(({ what }) => what === 'ending'));
  held.destroy();
  await new Promise((resolve) => setTimeout(resolve, 600));
  t.notOk(service.said.some(({ what }) => what === 'ending'));
  control.destroy();
  t.match(await service.hears('ending'), { why: 'idle' });
  t.match(await service.exit(), { code: 0 });
});

t.test('options that are none', async (t) => {
  for (const [options, words] of [
    [{ restart: { program: { file: 'node' } } }, /restart\.program\.args/],
    [{ restart: { signals: ['SIGNONE'] } }, /SIGNONE/],
    [{ restart: { fds: {} } }, /restart\.fds/],
    [{ restart: 7 }, /restart/],
    [{ idle: -1 }, /idle/],
    [{ deadline: 'long' }, /deadline/],
    [{ control: '@abstract' }, /control/],
  ] as const) {
    await t.rejects(
      runService(options as never, () => {}),
      { message: words },
    );
  }
  await t.rejects(runService({}, 7 as never), { message: /start/ });
});

t.test('a signal that can not be caught ends it with status 1', async (t) => {
  const service = new Restartable(t, { options: { restart: { signals: ['SIGKILL'] } } });
  t.match(await service.exit(), { code: 1 });
  t.match(await service.hears('report'), { message: /EINVAL/ });
  await service.allGone();
  t.notOk(existsSync(service.web) || existsSync(service.pidFile) || existsSync(service.control));
});

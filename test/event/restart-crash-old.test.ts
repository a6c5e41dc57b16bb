import { existsSync } from 'node:fs';
import { askService, type RestartPhase } from '@sdrx/event';
import t from 'tap';
import { childrenOf } from '../support/children.js';
import { isAlive, Restartable } from './restartable.js';

for (const phase of ['spawned', 'taken'] as const) {
  t.test(
    `the old process is killed at '${phase}': without the state the new one ends, and nobody serves`,
    async (t) => {
      const service = new Restartable(t, { deeds: { [phase]: 'kill itself' } });
      await service.hears('current');
      service.kill('SIGHUP');
      t.match(await service.exit(), { code: null, signal: 'SIGKILL' });
      await service.allGone();
      const [pid] = service.pids.filter((each) => each !== service.pid);
      const reports = service.said.filter(({ what }) => what === 'report');
      t.match(reports, [{ pid, message: /the former process is gone/ }]);
      t.notMatch(service.manager.notifications.join('\n'), /MAINPID|STOPPING/);
      // What the killed one has left is there, as always; the next one that is started replaces it.
      t.ok(existsSync(service.web));
      t.strictSame(service.litter, []);
      const next = new Restartable(t, {
        options: { sockets: { web: `unix:${service.web}` }, pidFile: service.pidFile, control: service.control },
      });
      await next.hears('current');
      t.equal(await service.ask(), next.pid);
      t.equal(service.owner, next.pid);
    },
  );
}

const later: readonly RestartPhase[] = ['state-sent', 'ready', 'accept', 'accepting', 'told', 'heard', 'main'];
for (const phase of later) {
  t.test(`the old process is killed at '${phase}': the new one is the service by itself`, async (t) => {
    const service = new Restartable(t, { deeds: { [phase]: 'kill itself' } });
    await service.hears('current');
    const load = service.load();
    await service.ask();
    service.kill('SIGHUP');
    t.match(await service.exit(), { code: null, signal: 'SIGKILL' });
    const { pid } = await service.hears({ what: 'current', generation: 1 });
    for (let count = 0; count < 5; count++) t.equal(await service.ask(), pid);
    const { errors } = await load.stop();
    // Those that the old one had accepted are lost with it, and no others: four clients had one each.
    t.ok(errors.length <= 4, errors.join());
    t.equal(service.owner, pid);
    t.match(await askService(service.control, 'status'), `process ${pid}, restarted 1 times, 0 former`);
    t.strictSame(service.pids.filter(isAlive), [pid]);
    t.strictSame(childrenOf(pid), []);
    t.strictSame(service.litter, []);
    const told = service.manager.notifications;
    t.notMatch(told.join('\n'), /STOPPING/);
    const byOld = [`MAINPID=${pid}\nREADY=1\nSTATUS=`];
    const byNew = [`MAINPID=${pid}\nREADY=1`];
    const expected = { told: [...byOld, ...byNew], heard: [...byOld, ...byNew], main: byOld }[phase as string] ?? byNew;
    t.strictSame(
      told.filter((text) => /MAINPID/.test(text)),
      expected,
    );
    // It restarts as any other.
    service.lives({});
    service.kill('SIGHUP', pid);
    const third = await service.hears({ what: 'current', generation: 2 });
    await service.gone(pid);
    t.equal(await service.ask(), third.pid);
    service.kill('SIGTERM', third.pid);
    await service.allGone();
    t.notOk(existsSync(service.web) || existsSync(service.pidFile) || existsSync(service.control));
  });
}

import { readdirSync } from 'node:fs';
import t from 'tap';
import { isAlive, kindsOpen, Restartable } from './restartable.js';

const RESTARTS = 30;

t.test('thirty restarts in a row, under load: no request is lost, and nothing grows', async (t) => {
  const service = new Restartable(t, { state: { of: 'the service' }, last: 'words' });
  await service.hears('current');
  const sharedMemory = readdirSync('/dev/shm').length;
  const load = service.load(2);
  const open: number[] = [];
  for (let generation = 1; generation <= RESTARTS; generation++) {
    const { pid } = await service.hears({ what: 'current', generation: generation - 1 });
    service.kill('SIGHUP', pid);
    const { pid: next } = await service.hears({ what: 'current', generation });
    // At most two wait for their end.
    await service.gone(pid);
    if (generation === 5 || generation === RESTARTS) {
      await service.hears({ what: 'last', pid: next });
      open.push(kindsOpen(next).filter((what) => !what.startsWith('socket')).length);
    }
  }
  const { errors, answered } = await load.stop();
  t.strictSame(errors, []);
  t.ok(answered.size > RESTARTS / 2, 'many processes have answered');
  t.equal(open[0], open[1]);
  t.strictSame(service.pids.filter(isAlive), [service.owner]);
  t.strictSame(service.litter, []);
  t.equal(readdirSync('/dev/shm').length, sharedMemory);
  t.strictSame(
    service.said.filter(({ what }) => what === 'warning' || what === 'report'),
    [],
  );
  t.equal(service.complaints, '');
});

t.test('thirty restarts of one process that fail: nothing grows', async (t) => {
  const service = new Restartable(t, { deeds: { spawned: 'kill the new one' } });
  const { pid } = service;
  await service.hears('current');
  let open = 0;
  for (let count = 1; count <= RESTARTS; count++) {
    service.kill('SIGHUP');
    await service.hears('restart-failed', count);
    await service.hears('report', count);
    if (count === 1) open = kindsOpen(pid).length;
  }
  t.equal(kindsOpen(pid).length, open);
  t.strictSame(
    service.said.filter(({ what }) => what === 'warning'),
    [],
  );
  t.equal(service.complaints, '');
  t.strictSame(service.litter, []);
});

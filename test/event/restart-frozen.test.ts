import t from 'tap';
import { childrenOf } from '../support/children.js';
import { isAlive, Restartable } from './restartable.js';

/** By the phase at which it is stopped, how long it has, in milliseconds; where it has begun to run also that must fit in. */
const limits = { spawned: 500, taken: 8000, accept: 8000, accepting: 8000, told: 8000 };

for (const [phase, readyWithin] of Object.entries(limits)) {
  t.test(`the new process is stopped at '${phase}': it is given up in time`, async (t) => {
    const options = { restart: { readyWithin } };
    const service = new Restartable(t, { options, deeds: { [phase]: 'freeze the new one' } });
    const { pid } = service;
    await service.hears('current');
    service.kill('SIGHUP');
    const { reason, message } = await service.hears('restart-failed');
    t.equal(reason, 'time-out');
    t.ok(service.said.some(({ what }) => what === phase));
    t.match(message, `not ready in time (${readyWithin} ms)`);
    t.equal(await service.ask(), pid);
    t.equal(service.owner, pid);
    t.strictSame(childrenOf(pid), []);
    t.ok(service.pids.every((each) => each === pid || !isAlive(each)));
    t.strictSame(service.litter, []);
    t.notOk(service.said.some(({ what }) => what === 'restarted'));
    await service.manager.waitFor(/^READY=1\nSTATUS=not restarted/);
    const main = service.manager.notifications.filter((text) => /MAINPID/.test(text));
    if (phase === 'told') t.equal(main.at(-1), `MAINPID=${pid}\nREADY=1`);
    service.kill('SIGTERM');
    t.match(await service.exit(), { code: 0 });
    await service.allGone();
  });
}

import type { RestartPhase } from '@sdrx/event';
import { askService } from '@sdrx/event';
import t from 'tap';
import { childrenOf } from '../support/children.js';
import { isAlive, kindsOpen, Restartable } from './restartable.js';

/** Those from which there is a way back. */
const phases = ['spawned', 'taken', 'state-sent', 'ready', 'accept', 'accepting', 'told', 'heard'] as const;
const untold: readonly RestartPhase[] = phases.slice(0, 4);
/** Then the new process may say that it accepts, and the service manager be told, before it is dead. */
const perhapsTold: readonly RestartPhase[] = ['accept', 'accepting'];

for (const phase of phases) {
  t.test(`the new process is killed at '${phase}': the old one goes on as before`, async (t) => {
    const service = new Restartable(t, { deeds: { [phase]: 'kill the new one' } });
    const { pid, manager } = service;
    await service.hears('current');
    // What is loaded and opened at the first restart is there from then on.
    service.kill('SIGHUP');
    await service.hears('restart-failed');
    const before = kindsOpen(pid);
    const load = service.load();
    await service.ask();
    service.kill('SIGHUP');
    const { reason } = await service.hears('restart-failed', 2);
    t.equal(reason, 'died');
    await service.ask();
    const { errors, answered } = await load.stop();
    // Those that the new one had accepted are lost with it.
    if (['spawned', 'taken', 'state-sent', 'ready'].includes(phase)) t.strictSame(errors, []);
    t.ok(answered.has(String(pid)));
    t.equal(await service.ask(), pid);
    t.equal(service.owner, pid);
    t.match(await askService(service.control, 'status'), `process ${pid}, restarted 0 times`);
    t.strictSame(childrenOf(pid), [], 'no zombie');
    t.strictSame(service.pids.filter(isAlive), [pid]);
    await service.until(() => kindsOpen(pid).length <= before.length, 'connections to be closed');
    t.strictSame(kindsOpen(pid), before);
    t.strictSame(service.litter, []);
    const told = manager.notifications;
    t.notMatch(told.join('\n'), /STOPPING/);
    t.match(
      told.filter((text) => /RELOADING/.test(text)).map((text) => text.split('\n')),
      [
        ['RELOADING=1', /^MONOTONIC_USEC=\d+$/, 'STATUS=restarting'],
        ['RELOADING=1', /^MONOTONIC_USEC=\d+$/, 'STATUS=restarting'],
      ],
    );
    await manager.waitFor(/^READY=1\nSTATUS=not restarted: the new process ended \(killed 9\)$/);
    const main = told.filter((text) => /MAINPID/.test(text));
    if (untold.includes(phase)) t.strictSame(main, []);
    else if (!perhapsTold.includes(phase)) t.equal(main.length, 4);
    for (const [index, text] of main.entries()) {
      const [, its] = /^MAINPID=(\d+)\nREADY=1/.exec(text) ?? [];
      if (index % 2 === 0) t.ok(service.said.some((said) => said.new === Number(its)));
      else t.equal(text, `MAINPID=${pid}\nREADY=1`);
    }
    service.kill('SIGTERM');
    t.match(await service.exit(), { code: 0, signal: null });
    await service.allGone();
    t.notOk(service.has(service.web) || service.has(service.pidFile) || service.has(service.control));
  });
}

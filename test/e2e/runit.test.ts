import { existsSync, readdirSync } from 'node:fs';
import t from 'tap';
import { allocate, given, mapOf } from '../support/allocation.js';
import { isRunning } from '../support/is-running.js';
import { managerPid } from '../support/manager-pid.js';
import { needsRunit, RunitService } from '../support/runit.js';
import { SteadyClients } from '../support/steady-clients.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

/** The longest that a change may take on a busy machine, in milliseconds. */
const LIMIT = 60_000;

async function served(service: RunitService, isIt: () => boolean = () => true): Promise<void> {
  // The control socket is there last.
  const isThere = () => existsSync(`${service.runtimeDirectory}/nsresource/control`) && isIt();
  await untilOr(LIMIT, isThere, () => service.sv('status'), 50);
}

/** Waits for the end of a process, which comes a moment after that of its lock. */
async function ended(pid: number): Promise<void> {
  await untilOr(
    LIMIT,
    () => !isRunning(pid),
    () => `process ${pid} lives on`,
    50,
  );
}

t.test('where runit manages services, the daemon keeps what it promises', needsRunit, async (t) => {
  const service = new RunitService(t, '--userns-restrict=off');
  await served(service);
  using namespace = new UserNamespace();
  using fd = namespace.open();
  t.strictSame(await allocate(service, fd, 'lasting'), given('lasting'));
  const map = mapOf(namespace);

  const started = managerPid(service);
  process.kill(started, 'SIGKILL');
  await served(service, () => managerPid(service) !== started);
  t.match(service.ctl().output, /^lasting /m, 'one that is killed is started again, with what is registered');

  {
    const former = managerPid(service);
    await using clients = new SteadyClients();
    clients.start(service.socketPath, false, { method: 'org.varlink.service.GetInfo' });
    t.match(service.ctl('reload'), { output: `has taken over from process ${former}` });
    t.not(managerPid(service), former);
    for (const { calls, errors, lost } of await clients.stop()) {
      t.strictSame(lost, []);
      t.strictSame(errors, { none: calls }, 'an upgrade in place loses no call');
    }
    // runit takes no command between the end of one process and the start of the next.
    await service.status(new RegExp(`^run: .*\\(pid (?!${former}\\))`));
  }

  const reloaded = managerPid(service);
  service.sv('hup');
  await served(service, () => managerPid(service) !== reloaded);
  t.ok(true, 'sv hup is an upgrade in place, too');

  const last = managerPid(service);
  service.sv('down');
  await service.status(/^down: /);
  await ended(last);
  t.ok(true, 'sv down ends the daemon, whichever process that is');
  t.ok(readdirSync(`${service.runtimeDirectory}/nsresource/registry`).length > 0, 'what is registered stays');

  service.sv('up');
  await served(service, () => managerPid(service) !== last);
  t.match(service.ctl().output, /^lasting /m);
  using other = new UserNamespace();
  using otherFd = other.open();
  t.strictSame(await allocate(service, otherFd, 'other'), given('other'));
  t.not(mapOf(other), map, 'no id is given twice');
  const final = managerPid(service);
  await service.end();
  await ended(final);
});

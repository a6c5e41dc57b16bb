import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { DEEDS, deedsIn, refusedDeeds } from '../../support/deeds.js';
import { untilOr } from '../../support/until.js';
import { varlinkCall } from '../../support/varlink-call.js';
import { startAttempts } from './attempts.js';
import { attempt, isEmulated, needsVirtualMachine, run } from './machine.js';
import { RegisteredNamespace, traces } from './namespaces.js';
import { begun, install, isServed, PINS, property, REGISTRY, SERVICE, SOCKET, SOCKET_PATH } from './service.js';
import { SharedDirectory } from './shared-directory.js';

const FOLDER = '/sdrx/debian';
const PACKAGE = 'sdrx-nsresourced';
const UNITS = '/lib/systemd/system';

/** The longest that a change may take in an emulated machine, in milliseconds. */
const LIMIT = 600_000;

/** Whether systemd has such a daemon itself. */
const hasOwn = existsSync('/usr/lib/systemd/systemd-nsresourced');

/** What there is of a registered namespace. A container has no BPF LSM, so that nothing is restricted there. */
const KNOWN = isEmulated ? ['registry', 'BPF'] : ['registry'];
const unrestricted = '[Service]\nExecStart=\nExecStart=/usr/sbin/nsresourced --userns-restrict=off\n';
const restrictionOnly = isEmulated ? {} : { skip: 'a container has no BPF LSM: --emulate runs this in a machine' };

function debFile(version: string): string {
  const name = readdirSync(FOLDER).find((file) => file.startsWith(`${PACKAGE}_${version}_`));
  if (name === undefined) throw new Error(`no ${version} in ${readdirSync(FOLDER)}`);
  return `${FOLDER}/${name}`;
}

const dpkg = (...args: readonly string[]) => run('dpkg', ...args);

/** The service's file; that of Debian 12 calls the folder by its former name. */
const unitFile = () => property('FragmentPath').replace(/^\/usr/, '');

/** What serves says of itself. */
async function served(): Promise<unknown> {
  const { parameters } = await varlinkCall(SOCKET_PATH, 'org.varlink.service.GetInfo', {});
  return parameters;
}

/** What the package leaves in folders that are not its own. */
function leftovers(): string[] {
  const found = run('find', '/etc', '/usr', '/var/lib', '-name', `*${PACKAGE}*`, '-not', '-path', '/var/lib/dpkg/*');
  return found.trim().split('\n').filter(Boolean);
}

/** Waits until nothing is known of a namespace that was killed. */
async function released(inode: number): Promise<void> {
  await untilOr(
    LIMIT,
    () => traces(inode).length === 0,
    () => `there still is ${traces(inode).join(', ')}`,
    300,
  );
}

t.test('the Debian package', needsVirtualMachine, async (t) => {
  const [first, second] = ['0.1.0', '0.1.1'];
  // With nothing that the tests before have put there but patience.
  install('systemd', 'WatchdogSec=30min\n');
  dpkg('--install', `${FOLDER}/nodejs.deb`);
  if (!isEmulated) {
    const folder = `/run/systemd/system/${PACKAGE}.service.d`;
    mkdirSync(folder);
    writeFileSync(`${folder}/tests.conf`, unrestricted);
  }
  if (hasOwn) run('systemctl', 'start', SOCKET, SERVICE);
  // systemd's daemon gives ids only where it can restrict.
  using before = hasOwn && isEmulated ? await RegisteredNamespace.create('before') : undefined;

  await t.test('what is in the way is named, and nothing is installed', (t) => {
    writeFileSync(`/etc/systemd/system/${SERVICE}`, '[Service]\nExecStart=true\n');
    const { status, output } = attempt('dpkg', '--install', debFile(first));
    t.not(status, 0);
    t.match(output, `/etc/systemd/system/${SERVICE} is in the way`);
    t.notOk(existsSync(`${UNITS}/${PACKAGE}.service`));
    run('rm', `/etc/systemd/system/${SERVICE}`);
    t.end();
  });

  await t.test('once installed it serves, with all that was registered', async (t) => {
    dpkg('--install', debFile(first));
    t.equal(unitFile(), `${UNITS}/${PACKAGE}.service`);
    t.equal(property('ActiveState', SOCKET), 'active');
    // The first client starts it, and may have to wait long for an answer.
    run('systemctl', 'start', SERVICE);
    await begun();
    t.match(await served(), { product: 'nsresourced', version: first });
    t.equal(property('ActiveState'), 'active');
    t.equal(run('systemctl', 'is-enabled', `${PACKAGE}.socket`).trim(), 'enabled');
    t.equal(run('nsresourced', '--version'), `nsresourced ${first}\n`);
    if (before !== undefined) {
      t.strictSame(traces(before.inode), KNOWN);
      t.match(run('nsresourcectl'), /^before /m);
    }
  });

  const namespace = await RegisteredNamespace.create('lasting');
  const directory = new SharedDirectory(namespace.start);
  t.teardown(() => directory[Symbol.dispose]());

  await t.test('an upgrade is in place: no restart, what is registered stays so', async (t) => {
    const attempts = isEmulated ? startAttempts(namespace, directory.path, 0.02) : undefined;
    const pid = property('MainPID');
    dpkg('--install', debFile(second));
    t.not(property('MainPID'), pid);
    await begun();
    t.equal(property('NRestarts'), '0');
    t.match(await served(), { product: 'nsresourced', version: second });
    t.match(readFileSync(`/proc/${property('MainPID')}/cmdline`, 'utf8'), /nsresourced\0/);
    await t.test('and is restricted all the time', restrictionOnly, async (t) => {
      const { tried = 0, succeeded } = (await attempts?.stop()) ?? {};
      t.ok(tried > 0, `${tried} attempts`);
      t.equal(succeeded, 0);
    });
    t.strictSame(traces(namespace.inode), KNOWN);
  });

  await t.test('removed and purged while a namespace lives, it leaves what keeps that one apart', async (t) => {
    const start = namespace.start;
    dpkg('--remove', PACKAGE);
    t.strictSame(traces(namespace.inode), KNOWN);
    const { status, output } = attempt('dpkg', '--purge', PACKAGE);
    t.equal(status, 0);
    t.match(output, 'namespaces are registered still');
    t.strictSame(leftovers(), []);
    t.strictSame(traces(namespace.inode), KNOWN);
    t.equal(namespace.start, start);
    await t.test('and restricted', restrictionOnly, async (t) => {
      t.strictSame(refusedDeeds(namespace.run(deedsIn(directory.path)).output), DEEDS);
    });
    if (hasOwn) {
      t.equal(unitFile(), `${UNITS}/${SERVICE}`);
      t.equal(property('ActiveState', SOCKET), 'active');
      t.ok(await isServed());
      t.notMatch(await served(), { product: 'nsresourced' });
    } else {
      t.notOk(existsSync(`/etc/systemd/system/${SERVICE}`));
      t.equal(property('LoadState', SOCKET), 'not-found');
    }
  });

  await t.test('installed again it goes on with it', async (t) => {
    dpkg('--install', debFile(second));
    t.equal(property('ActiveState'), 'active');
    await begun();
    t.match(await served(), { product: 'nsresourced', version: second });
    t.strictSame(traces(namespace.inode), KNOWN);
    const { inode } = namespace;
    namespace[Symbol.dispose]();
    await released(inode);
  });

  await t.test('what an administrator disabled stays so', (t) => {
    run('systemctl', 'disable', '--now', `${PACKAGE}.socket`);
    run('systemctl', 'stop', `${PACKAGE}.service`);
    dpkg('--install', debFile(first));
    t.equal(attempt('systemctl', 'is-enabled', `${PACKAGE}.socket`).output.trim(), 'disabled');
    t.equal(property('ActiveState', `${PACKAGE}.socket`), 'inactive');
    t.end();
  });

  await t.test('purged with nothing registered, it leaves nothing', async (t) => {
    if (before !== undefined) {
      run('systemctl', 'start', `${PACKAGE}.service`);
      const { inode } = before;
      before[Symbol.dispose]();
      await released(inode);
    }
    dpkg('--purge', PACKAGE);
    t.strictSame(leftovers(), []);
    t.notOk(existsSync(PINS));
    t.notOk(existsSync(`${PINS}-sdrx`));
    t.equal(existsSync(REGISTRY), hasOwn, "the registry is systemd's, if it has one");
  });
});

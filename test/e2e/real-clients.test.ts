import { namespaceResource, userDatabase } from '@sdrx/daemon';
import t from 'tap';
import { allocate, mapOf } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { needsDebianTree, runInTree } from '../support/debian-tree.js';
import { UserNamespace } from '../support/user-namespace.js';

const SOCKET = '/run/systemd/io.systemd.NamespaceResource';
const SERVICE = 'io.systemd.NamespaceResource';
const START = 1_622_999_040;

/** What an interface's text says, whatever its comments and layout. */
const meaning = (text: string) => text.replaceAll(/#.*$/gm, '').replaceAll(/\s+/g, '');

t.test('real clients', needsDebianTree, async (t) => {
  const daemon = await startDaemon(t);
  using namespace = new UserNamespace();
  {
    using fd = namespace.open();
    await allocate(daemon, fd, 'probe');
    t.equal(mapOf(namespace), `0 ${START} 65536`);
  }
  const run = (...command: readonly string[]) => runInTree(daemon.runtimeDirectory, ...command);
  const json = (...command: readonly string[]) => JSON.parse(run(...command).output);

  await t.test('varlinkctl info shows who we are, and all interfaces', async (t) => {
    const { output, exit } = run('varlinkctl', 'info', SOCKET);
    t.equal(exit.status, 0, output);
    t.match(output, /Product: nsresourced/);
    for (const name of ['org.varlink.service', SERVICE, 'io.systemd.UserDatabase']) t.match(output, name);
  });

  for (const { name, text } of [namespaceResource, userDatabase]) {
    await t.test(`varlinkctl introspect reads all of ${name}`, async (t) => {
      const { output, exit } = run('varlinkctl', 'introspect', SOCKET, name);
      t.equal(exit.status, 0, output);
      t.equal(meaning(output), meaning(text));
    });
  }

  await t.test('varlinkctl list-methods finds them', async (t) => {
    const { output } = run('varlinkctl', 'list-methods', SOCKET);
    t.match(output, `${SERVICE}.AllocateUserRange`);
    t.match(output, 'io.systemd.UserDatabase.GetUserRecord');
  });

  await t.test('varlinkctl call gets a record', async (t) => {
    const parameters = JSON.stringify({ uid: START + 1, service: SERVICE });
    const reply = json(
      'varlinkctl',
      '--json=short',
      'call',
      SOCKET,
      'io.systemd.UserDatabase.GetUserRecord',
      parameters,
    );
    t.match(reply, { record: { userName: 'ns-probe-1', uid: START + 1, disposition: 'container' } });
  });

  await t.test('varlinkctl call shows an error by its name', async (t) => {
    const parameters = JSON.stringify({ userName: 'ns-nobody-0', service: SERVICE });
    const { output, exit } = run('varlinkctl', 'call', SOCKET, 'io.systemd.UserDatabase.GetUserRecord', parameters);
    t.equal(exit.status, 1);
    t.match(output, 'io.systemd.UserDatabase.NoRecordFound');
  });

  await t.test('varlinkctl call without a descriptor is told that there is none', async (t) => {
    const parameters = JSON.stringify({ name: 'ctl', size: 65_536, userNamespaceFileDescriptor: 0 });
    const { output, exit } = run('varlinkctl', 'call', SOCKET, `${SERVICE}.AllocateUserRange`, parameters);
    t.equal(exit.status, 1);
    t.match(output, /io\.systemd\.System|No such device or address/);
  });

  const help = run('varlinkctl', '--help').output;
  const pushesFds = help.includes('--push-fd') ? {} : { skip: 'this varlinkctl knows no --push-fd' };
  await t.test('varlinkctl call passes a descriptor', pushesFds, async (t) => {
    using other = new UserNamespace();
    const parameters = JSON.stringify({ name: 'ctl', size: 65_536, userNamespaceFileDescriptor: 0 });
    const push = `--push-fd=/proc/${other.child.pid}/ns/user`;
    const { output, exit } = run('varlinkctl', push, 'call', SOCKET, `${SERVICE}.AllocateUserRange`, parameters);
    t.equal(exit.status, 0, output);
    t.match(mapOf(other), /^0 \d+ 65536$/);
  });

  for (const who of ['ns-probe-7', String(START + 7)]) {
    await t.test(`userdbctl finds the user ${who}`, async (t) => {
      t.match(json('userdbctl', '--json=short', 'user', who), {
        userName: 'ns-probe-7',
        uid: START + 7,
        gid: 65_534,
        locked: true,
        service: SERVICE,
      });
    });

    await t.test(`userdbctl finds the group ${who}`, async (t) => {
      t.match(json('userdbctl', '--json=short', 'group', who), {
        groupName: 'ns-probe-7',
        gid: START + 7,
        service: SERVICE,
      });
    });
  }

  await t.test('userdbctl finds no others', async (t) => {
    t.equal(run('userdbctl', 'user', 'ns-nobody-0').exit.status, 1);
    t.equal(run('userdbctl', 'group', String(START + 65_536)).exit.status, 1);
  });

  await t.test('getent, by libnss-systemd, finds user and group by name and id', async (t) => {
    const line = `ns-probe-7:x:${START + 7}:65534:User 7 of Allocated Namespace probe:/:/usr/sbin/nologin`;
    for (const who of ['ns-probe-7', String(START + 7)]) {
      t.match(run('getent', 'passwd', who).output, new RegExp(`^${line}`), `user ${who}`);
      t.match(run('getent', 'group', who).output, new RegExp(`^ns-probe-7:x:${START + 7}:`), `group ${who}`);
    }
    t.equal(run('getent', 'passwd', 'ns-nobody-0').exit.status, 2);
  });
});

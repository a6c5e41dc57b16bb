import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { namespaceResource, userDatabase } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import {
  connect as connectSocket,
  namespaceId,
  namespaceInode,
  ReceiveBuffer,
  sendMessage,
  unixSocket,
} from '@sdrx/linux';
import { connect } from '@sdrx/varlink';
import t, { type Test } from 'tap';
import { allocate, given, keptFiles, mapOf } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { pythonClient } from '../support/python-client.js';
import { readable } from '../support/readable.js';
import { leavingNoTrace, openFiles } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';

const METHOD = namespaceResource.methods.AllocateUserRange.name;

t.test('AllocateUserRange', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const registry = daemon.registryDirectory;
  await t.test('leaves nothing behind', leavingNoTrace(daemon, allTests));

  async function allTests(t: Test): Promise<void> {
    /** A test with a namespace, whose name and ids the next one may have. */
    const test = (name: string, body: (t: Test, namespace: UserNamespace) => Promise<unknown>, owner?: number) =>
      t.test(name, async (t) => {
        using namespace = new UserNamespace(owner);
        await body(t, namespace);
        await namespace.end();
      });

    await test('answers the Varlink client with the name, and maps the range', async (t, namespace) => {
      using loop = new EventLoop();
      const running = loop.run();
      using fd = namespace.open();
      using client = connect(loop, daemon.socketPath);
      const parameters = { name: 'probe', size: 65_536, userNamespaceFileDescriptor: 0 };
      const answer = await client.call(namespaceResource.methods.AllocateUserRange, parameters, { fds: [fd.number] });
      t.strictSame(answer, { parameters: { name: 'probe' }, fds: [], continues: false });
      t.equal(mapOf(namespace), '0 1622999040 65536');
      loop.exit();
      await running;
    });

    await test('answers a client in another language with exactly this reply', async (t) => {
      const client = await pythonClient(t, daemon.socketPath, {
        name: 'probe',
        size: 65_536,
        userNamespaceFileDescriptor: 0,
      });
      t.equal(client.text, '{"parameters":{"name":"probe"}}\0');
      t.strictSame(client.uid_map, ['0', '1622999040', '65536']);
      t.strictSame(client.gid_map, client.uid_map);
      await client.end();
    });

    for (const [name, ...starts] of [
      ['probe', 1_622_999_040, 64_588],
      ['alpha', 736_690_176, 63_198],
      ['container-1', 539_688_960, 61_521],
      ['1000-web', 882_049_024, 65_101],
    ] as const) {
      for (const [index, size] of [65_536, 1].entries()) {
        await test(`gives ${name} with ${size} ids the place that its name hashes to`, async (t, namespace) => {
          using fd = namespace.open();
          t.strictSame(await allocate(daemon, fd, name, { size }), given(name));
          t.equal(mapOf(namespace), `0 ${starts[index]} ${size}`);
        });
      }
    }

    await test('maps the ids to where the client wants them inside', async (t, namespace) => {
      using fd = namespace.open();
      t.strictSame(await allocate(daemon, fd, 'probe', { target: 100_000 }), given('probe'));
      t.equal(mapOf(namespace), '100000 1622999040 65536');
    });

    await test('takes the last target that leaves room for the size', async (t, namespace) => {
      using fd = namespace.open();
      // The kernel keeps the highest id for "none".
      t.strictSame(await allocate(daemon, fd, 'probe', { size: 1, target: 0xffff_fffe }), given('probe'));
      t.equal(mapOf(namespace), '4294967294 64588 1');
    });

    await test('registers the namespace under its inode, name, first id and owner', async (t, namespace) => {
      using fd = namespace.open();
      await allocate(daemon, fd, 'probe', { target: 7 });
      const inode = namespaceInode(fd.number);
      const ranges = ['u1622999040.userns', 'g1622999040.userns'];
      const files = [`i${inode}.userns`, 'nprobe.userns', ...ranges, `o0.owns/i${inode}.userns`];
      const [first] = files.map((file) => statSync(`${registry}/${file}`));
      const found = readdirSync(registry, { recursive: true, encoding: 'utf8' });
      const links = found.filter((file) => statSync(`${registry}/${file}`).ino === first?.ino);
      t.strictSame(links.sort(), files.sort());
      t.equal(first?.nlink, files.length);
      t.equal((first?.mode ?? 0) & 0o777, 0o644);
      t.strictSame(JSON.parse(readFileSync(`${registry}/i${inode}.userns`, 'utf8')), {
        owner: 0,
        name: 'probe',
        userns: inode,
        start: 1_622_999_040,
        size: 65_536,
        target: 7,
      });
    });

    await test('remembers which namespace it was, where the kernel numbers them', async (t, namespace) => {
      using fd = namespace.open();
      const id = namespaceId(fd.number);
      await allocate(daemon, fd, 'probe');
      const file = `nsresource/namespace-ids/i${namespaceInode(fd.number)}`;
      if (id === undefined) t.notOk(keptFiles(daemon).includes(file.slice('nsresource/'.length)));
      else t.match(readlinkSync(`${daemon.runtimeDirectory}/${file}`), new RegExp(`^${id} `));
    });

    await test('puts the uid of a user other than root before the name, and makes it the owner', async (t) => {
      const parameters = { name: 'web', size: 65_536, userNamespaceFileDescriptor: 0 };
      const client = await pythonClient(t, daemon.socketPath, parameters, UID);
      t.strictSame(client.reply, given('1000-web'));
      t.strictSame(client.uid_map, ['0', '882049024', '65536']);
      t.strictSame(client.gid_map, client.uid_map);
      const entry = JSON.parse(readFileSync(`${registry}/n1000-web.userns`, 'utf8'));
      t.strictSame([entry.owner, entry.name, entry.userns], [UID, '1000-web', client.inode]);
      t.ok(readdirSync(registry).includes('o1000.owns'));
      await client.end();
    });

    await test(
      'lets root ask for the namespace of somebody else',
      async (t, namespace) => {
        using fd = namespace.open();
        t.strictSame(await allocate(daemon, fd, 'probe'), given('probe'));
        t.equal(mapOf(namespace), '0 1622999040 65536');
        t.equal(JSON.parse(readFileSync(`${registry}/nprobe.userns`, 'utf8')).owner, 0);
      },
      UID,
    );

    await test('gives a name the same ids again after they were free', async (t, namespace) => {
      using earlier = new UserNamespace();
      using earlierFd = earlier.open();
      await allocate(daemon, earlierFd, 'probe');
      t.equal(mapOf(earlier), '0 1622999040 65536');
      earlierFd.close();
      await earlier.end();
      using fd = namespace.open();
      await allocate(daemon, fd, 'probe');
      t.equal(mapOf(namespace), '0 1622999040 65536');
    });

    await test('gives another place to a name whose own is taken', async (t, namespace) => {
      using fd = namespace.open();
      await allocate(daemon, fd, 'probe', { size: 1 });
      using other = new UserNamespace();
      using otherFd = other.open();
      // It hashes to the same id.
      t.strictSame(await allocate(daemon, otherFd, 'x3973', { size: 1 }), given('x3973'));
      t.equal(mapOf(namespace), '0 64588 1');
      t.match(mapOf(other), /^0 6\d{4} 1$/);
      t.not(mapOf(other), mapOf(namespace));
    });

    await test('does what it is asked without a reply, too', async (t, namespace) => {
      using fd = namespace.open();
      using socket = unixSocket();
      connectSocket(socket.number, daemon.socketPath);
      const parameters = { name: 'probe', size: 65_536, userNamespaceFileDescriptor: 0 };
      const oneway = JSON.stringify({ method: METHOD, parameters, oneway: true });
      const info = JSON.stringify({ method: 'org.varlink.service.GetInfo' });
      sendMessage(socket.number, Buffer.from(`${oneway}\0`), { fds: [fd.number] });
      sendMessage(socket.number, Buffer.from(`${info}\0`));
      await readable(socket.number);
      const buffer = new ReceiveBuffer(65536);
      const length = buffer.receive(socket.number, []);
      t.match(
        buffer.bytes.toString('utf8', 0, length),
        /^\{"parameters":\{"vendor"/,
        'the first reply is to the next call',
      );
      t.equal(mapOf(namespace), '0 1622999040 65536');
      t.ok(readdirSync(registry).includes('nprobe.userns'));
    });

    await test('keeps no descriptor of a namespace that it gave ids to', async (t, namespace) => {
      using fd = namespace.open();
      await allocate(daemon, fd, 'probe');
      await until(() => [daemon.pid, ...daemon.children()].every((pid) => !openFiles(pid).includes('user')));
      t.pass();
    });

    await test('can be asked by many at once, each of whom gets ids of its own', async (t) => {
      const namespaces = Array.from({ length: 20 }, () => new UserNamespace());
      const fds = namespaces.map((namespace) => namespace.open());
      const replies = await Promise.all(fds.map((fd, index) => allocate(daemon, fd, `many-${index}`)));
      t.strictSame(
        replies,
        namespaces.map((_, index) => given(`many-${index}`)),
      );
      t.equal(new Set(namespaces.map(mapOf)).size, namespaces.length);
      for (const fd of fds) fd.close();
      await Promise.all(namespaces.map((namespace) => namespace.end()));
    });

    await test('is one of the interfaces that GetInfo tells of', async (t) => {
      const { parameters } = await varlinkCall(daemon.socketPath, 'org.varlink.service.GetInfo');
      t.match(parameters?.interfaces, [
        /^io.systemd$/,
        namespaceResource.name,
        userDatabase.name,
        'io.systemd.service',
        'org.varlink.service',
      ]);
    });
  }
});

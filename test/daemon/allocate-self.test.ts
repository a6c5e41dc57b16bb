import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { namespaceResource } from '@sdrx/daemon';
import { namespaceId, namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, failed, given, invalid, keptFiles, linesOf, mapOf, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { leavingNoTrace } from '../support/traces.js';
import { below, UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';

const METHOD = namespaceResource.methods.AllocateUserRange.name;

t.test('AllocateUserRange with the type self', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test('leaves nothing behind', leavingNoTrace(daemon, allTests));

  async function allTests(t: Test): Promise<void> {
    const test = (name: string, owner: number, body: (t: Test, namespace: UserNamespace) => Promise<unknown>) =>
      t.test(name, async (t) => {
        using namespace = new UserNamespace(owner);
        await body(t, namespace);
        await namespace.end();
      });
    const askAs = (uid: number, namespace: UserNamespace, more: object = {}): RawReply => {
      using fd = namespace.open();
      const parameters = { name: 'own', size: 1, type: 'self', [USERNS]: 0, ...more };
      return callAs(uid, daemon.socketPath, METHOD, parameters, [fd.number]);
    };

    await test('maps the ids of who asks to themselves', UID, async (t, namespace) => {
      t.strictSame(askAs(UID, namespace), given(`${UID}-own`));
      t.equal(mapOf(namespace), `${UID} ${UID} 1`);
    });

    await test('maps them to root, if that is asked for', UID, async (t, namespace) => {
      t.strictSame(askAs(UID, namespace, { target: 0 }), given(`${UID}-own`));
      t.equal(mapOf(namespace), `0 ${UID} 1`);
    });

    await test('has the user and the group of who asks, be they different', UID, async (t, namespace) => {
      using fd = namespace.open();
      const parameters = JSON.stringify({
        method: METHOD,
        parameters: { name: 'own', size: 1, type: 'self', [USERNS]: 0 },
      });
      const script = `
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
socket.send_fds(client, [sys.argv[2].encode() + b'\\0'], [3])
sys.stdout.write(client.recv(4096)[:-1].decode())`;
      const { output } = runProgram(
        'setpriv',
        [
          `--reuid=${UID}`,
          '--regid=1234',
          '--clear-groups',
          '/usr/bin/python3',
          '-c',
          script,
          daemon.socketPath,
          parameters,
        ],
        { cwd: '/', fds: [null, null, 2, fd.number] },
      );
      t.strictSame(JSON.parse(output), given(`${UID}-own`));
      t.strictSame([linesOf(namespace), linesOf(namespace, 'gid_map')], [[`${UID} ${UID} 1`], ['1234 1234 1']]);
      const entry = JSON.parse(readFileSync(`${daemon.registryDirectory}/n${UID}-own.userns`, 'utf8'));
      t.match(entry, { start: UID, target: UID, startGid: 1234, targetGid: 1234 });
    });

    await test('is registered as systemd 262 does it, and its ids are in nobody’s way', UID, async (t, namespace) => {
      using fd = namespace.open();
      askAs(UID, namespace, { target: 0 });
      const inode = namespaceInode(fd.number);
      const id = namespaceId(fd.number);
      t.strictSame(JSON.parse(readFileSync(`${daemon.registryDirectory}/i${inode}.userns`, 'utf8')), {
        ...{ owner: UID, name: `${UID}-own`, userns: inode },
        ...(id === undefined ? {} : { usernsId: Number(id) }),
        ...{ start: UID, size: 1, target: 0, startGid: UID, targetGid: 0, setgroupsDeny: true },
      });
      t.notOk(readdirSync(daemon.registryDirectory).some((file) => /^[ug]\d/.test(file)));
      t.match(await ask(daemon, 'User', { userName: `ns-${UID}-own-0` }), { parameters: { record: { uid: UID } } });
    });

    await test('does not let anybody drop a group, be it without the restriction', UID, async (t, namespace) => {
      const setgroups = ({ child }: UserNamespace) => readFileSync(`/proc/${child.pid}/setgroups`, 'ascii').trim();
      t.strictSame(askAs(UID, namespace), given(`${UID}-own`));
      t.equal(setgroups(namespace), 'deny');
      using other = new UserNamespace(UID);
      t.strictSame(askAs(UID, other, { name: 'other', type: 'managed' }), given(`${UID}-other`));
      t.equal(setgroups(other), 'allow', 'others may');
      await other.end();
    });

    await test('may be asked for several times', UID, async (t, namespace) => {
      using other = new UserNamespace(UID);
      t.strictSame(askAs(UID, namespace), given(`${UID}-own`));
      t.strictSame(askAs(UID, other, { name: 'other' }), given(`${UID}-other`));
      await other.end();
    });

    await test('takes root for what it is', 0, async (t, namespace) => {
      using fd = namespace.open();
      t.strictSame(await allocate(daemon, fd, 'roots', { type: 'self', size: 1 }), given('roots'));
      t.equal(mapOf(namespace), '0 0 1');
      const { parameters } = await ask(daemon, 'Group', { groupName: 'ns-roots-0' });
      t.match(parameters, { record: { gid: 0 } });
    });

    await test('takes a transient user, who has two of them', 61_200, async (t, namespace) => {
      using other = new UserNamespace(61_200);
      t.strictSame(askAs(61_200, namespace), given('61200-own'));
      t.strictSame(askAs(61_200, other, { name: 'other' }), given('61200-other'));
      t.equal(mapOf(other), '61200 61200 1');
      t.notOk(
        keptFiles(daemon).some((file) => file.includes('u61200')),
        'the id is still the user’s',
      );
      await other.end();
    });

    await test('refuses what does not fit, and nothing is stored', UID, async (t, namespace) => {
      for (const [more, reply] of [
        [{ size: 65_536 }, invalid('size')],
        [{ size: 2 }, invalid('size')],
        [{ size: 65_536, target: 1 }, invalid('size')],
        [{ target: 1 }, invalid('target')],
        [{ target: UID }, invalid('target')],
        [{ target: 1, delegateContainerRanges: 17 }, invalid('target')],
        [{ type: 'other' }, invalid('type')],
        [{ type: 1 }, invalid('type')],
        [{ type: 'Self' }, invalid('type')],
        [{ name: 'a/b', size: 2 }, invalid('name')],
      ] as const)
        t.strictSame(askAs(UID, namespace, { name: 'odd', ...more }), reply, JSON.stringify(more));
      t.equal(mapOf(namespace), '');
      t.notOk(keptFiles(daemon).some((file) => file.includes('odd')));
      t.strictSame(askAs(UID, namespace, { type: null }), given(`${UID}-own`), 'null is as good as nothing');
      t.match(mapOf(namespace), /^0 6\d{4} 1$/);
    });
  }
});

t.test('the ids of who asks must be there one namespace further up', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using above = new UserNamespace();
  for (const kind of ['uid_map', 'gid_map']) writeFileSync(`/proc/${above.child.pid}/${kind}`, '5 100000 65536');
  using namespace = new UserNamespace(100_000, '--map-root-user');
  using nested = new UserNamespace(below(above, 7));
  using fd = nested.open();
  t.strictSame(await allocate(daemon, fd, 'own', { type: 'self', size: 1 }), failed('ESRCH', 3));
  const self = { name: 'own', size: 1, type: 'self', [USERNS]: 0 };
  using other = namespace.open();
  t.strictSame(callAs(100_000, daemon.socketPath, METHOD, self, [other.number]), invalid(USERNS));
  t.strictSame(callAs(100_002, daemon.socketPath, METHOD, self, [fd.number]), given('100002-own'));
  t.strictSame(linesOf(nested), ['7 100002 1'], 'it has the number that it has above');
});

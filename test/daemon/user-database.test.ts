import { unlinkSync, writeFileSync } from 'node:fs';
import { Registry, userDatabase } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { namespaceInode } from '@sdrx/linux';
import { connect } from '@sdrx/varlink';
import { lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { allocate, ask, failed, given, invalid, mapOf } from '../support/allocation.js';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const START = 1_622_999_040;
const SINGLE = 63_198;
const SERVICE = 'io.systemd.NamespaceResource';

const error = (name: keyof typeof userDatabase.errors): RawReply => ({
  error: `io.systemd.UserDatabase.${name}`,
  parameters: {},
});

/** The record of user `offset` of the namespace `probe`. */
const user = (offset: number): RawReply => ({
  parameters: {
    record: {
      userName: `ns-probe-${offset}`,
      uid: START + offset,
      gid: 65_534,
      realName: `User ${offset} of Allocated Namespace probe`,
      homeDirectory: '/',
      shell: '/usr/sbin/nologin',
      locked: true,
      service: SERVICE,
      disposition: 'container',
    },
  },
});

/** The record of group `offset` of the namespace `probe`. */
const group = (offset: number): RawReply => ({
  parameters: {
    record: {
      groupName: `ns-probe-${offset}`,
      gid: START + offset,
      description: `Group ${offset} of Allocated Namespace probe`,
      service: SERVICE,
      disposition: 'container',
    },
  },
});

const single: RawReply = {
  parameters: {
    record: {
      userName: 'ns-alpha-0',
      uid: SINGLE,
      gid: 65_534,
      realName: 'Allocated Namespace alpha',
      homeDirectory: '/',
      shell: '/usr/sbin/nologin',
      locked: true,
      service: SERVICE,
      disposition: 'dynamic',
    },
  },
};

const singleGroup: RawReply = {
  parameters: {
    record: {
      groupName: 'ns-alpha-0',
      gid: SINGLE,
      description: 'Allocated Namespace alpha',
      service: SERVICE,
      disposition: 'dynamic',
    },
  },
};

/** Queries by id and name, of a user and of a group alike, and the replies to each. */
const queries: readonly (readonly [what: string, id: unknown, name: unknown, user: RawReply, group?: RawReply])[] = [
  ['the first id', START, undefined, user(0), group(0)],
  ['an id in the range', START + 1234, undefined, user(1234), group(1234)],
  ['the last id', START + 65_535, undefined, user(65_535), group(65_535)],
  ['the id after the last', START + 65_536, undefined, error('NoRecordFound')],
  ['the id before the first', START - 1, undefined, error('NoRecordFound')],
  ['the first name', undefined, 'ns-probe-0', user(0), group(0)],
  ['a name in the range', undefined, 'ns-probe-1234', user(1234), group(1234)],
  ['the last name', undefined, 'ns-probe-65535', user(65_535), group(65_535)],
  ['the name after the last', undefined, 'ns-probe-65536', error('NoRecordFound')],
  ['a name with a leading zero', undefined, 'ns-probe-01', error('NoRecordFound')],
  ['a name with a sign', undefined, 'ns-probe-+1', error('NoRecordFound')],
  ['a name without an offset', undefined, 'ns-probe', error('NoRecordFound')],
  ['the name of the namespace', undefined, 'probe', error('NoRecordFound')],
  ['a name of nobody', undefined, 'ns-nobody-0', error('NoRecordFound')],
  ['the name of a user of the system', undefined, 'root', error('NoRecordFound')],
  ['the id of a user of the system', 0, undefined, error('NoRecordFound')],
  ['the id of nobody', 65_534, undefined, error('NoRecordFound')],
  ['an id of a range that nobody has', 524_288, undefined, error('NoRecordFound')],
  ['name and id that agree', START + 3, 'ns-probe-3', user(3), group(3)],
  ['name and id of the same range that disagree', START + 3, 'ns-probe-4', error('ConflictingRecordFound')],
  ['a name with the id of nobody', 524_288, 'ns-probe-0', error('ConflictingRecordFound')],
  ['a name with the id of another namespace', SINGLE, 'ns-probe-0', error('ConflictingRecordFound')],
  ['an id with the name of nobody', START, 'ns-nobody-0', error('NoRecordFound')],
  ['neither name nor id', undefined, undefined, error('EnumerationNotSupported')],
  ['the id of a single one', SINGLE, undefined, single, singleGroup],
  ['the name of a single one', undefined, 'ns-alpha-0', single, singleGroup],
  ['the id after a single one', SINGLE + 1, undefined, error('NoRecordFound')],
  ['the name after a single one', undefined, 'ns-alpha-1', error('NoRecordFound')],
  ['the name of a namespace without a range', undefined, 'ns-mapped-0', error('NoRecordFound')],
];

/** What no user or group can have, so that the reply names the parameter. */
const invalidIds: readonly unknown[] = [-1, 2 ** 32, 1.5, 'x', true, 65_535, 2 ** 32 - 1];
const invalidNames: readonly unknown[] = [5, '', '.', '..', '7', '-7', 'a/b', 'a:b', 'a\nb', ' a', 'a '];

t.test('the user database', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using probe = new UserNamespace();
  using alpha = new UserNamespace();
  using mapped = new UserNamespace();
  {
    using probeFd = probe.open();
    await allocate(daemon, probeFd, 'probe');
    t.equal(mapOf(probe), `0 ${START} 65536`);
    using alphaFd = alpha.open();
    await allocate(daemon, alphaFd, 'alpha', { size: 1 });
    t.equal(mapOf(alpha), `0 ${SINGLE} 1`);
    using mappedFd = mapped.open();
    using registry = Registry.open(daemon.runtimeDirectory);
    registry.store({ owner: 0, name: 'mapped', userns: namespaceInode(mappedFd.number), cgroups: [] });
  }

  for (const [what, id, name, userReply, groupReply = userReply] of queries) {
    await t.test(`answers a query for ${what}`, async (t) => {
      t.strictSame(await ask(daemon, 'User', { uid: id, userName: name }), userReply, 'user');
      t.strictSame(await ask(daemon, 'Group', { gid: id, groupName: name }), groupReply, 'group');
    });
  }

  for (const id of invalidIds) {
    await t.test(`refuses an id that can't be: ${JSON.stringify(id)}`, async (t) => {
      t.strictSame(await ask(daemon, 'User', { uid: id }), invalid('uid'));
      t.strictSame(await ask(daemon, 'Group', { gid: id }), invalid('gid'));
    });
  }

  for (const name of invalidNames) {
    await t.test(`refuses a name that can't be: ${JSON.stringify(name)}`, async (t) => {
      t.strictSame(await ask(daemon, 'User', { userName: name }), invalid('userName'));
      t.strictSame(await ask(daemon, 'Group', { groupName: name }), invalid('groupName'));
    });
  }

  await t.test('refuses a parameter that it does not know', async (t) => {
    t.strictSame(await ask(daemon, 'User', { uid: START, gid: START }), invalid('gid'));
    t.strictSame(await ask(daemon, 'Group', { gid: START, uid: START }), invalid('uid'));
  });

  for (const method of ['GetUserRecord', 'GetGroupRecord', 'GetMemberships']) {
    const call = (parameters: object) =>
      varlinkCall(daemon.socketPath, `io.systemd.UserDatabase.${method}`, parameters);

    await t.test(`${method} answers for no other service`, async (t) => {
      t.strictSame(await call({ service: 'io.systemd.Multiplexer' }), error('BadService'));
      t.strictSame(await call({ service: '' }), error('BadService'));
    });

    await t.test(`${method} must be told which service is meant`, async (t) => {
      t.strictSame(await call({}), invalid('service'));
      t.strictSame(await call({ service: 5 }), invalid('service'));
    });
  }

  await t.test('knows no memberships', async (t) => {
    const memberships = (query: object) =>
      varlinkCall(daemon.socketPath, 'io.systemd.UserDatabase.GetMemberships', { service: SERVICE, ...query });
    t.strictSame(await memberships({}), error('NoRecordFound'));
    t.strictSame(await memberships({ userName: 'ns-probe-0' }), error('NoRecordFound'));
    t.strictSame(await memberships({ groupName: 'ns-probe-0' }), error('NoRecordFound'));
    t.strictSame(await memberships({ userName: 'a/b' }), invalid('userName'));
    t.strictSame(await memberships({ groupName: '' }), invalid('groupName'));
  });

  await t.test('gives one reply to who would take several', async (t) => {
    using loop = new EventLoop();
    const running = loop.run();
    using client = connect(loop, daemon.socketPath);
    const parameters = { uid: START, service: SERVICE };
    const replies = client.more(userDatabase.methods.GetUserRecord, parameters).pipe(toArray());
    t.strictSame(
      (await lastValueFrom(replies)).map(({ parameters, continues }) => [parameters, continues]),
      [[user(0).parameters, false]],
    );
    loop.exit();
    await running;
  });

  await t.test(
    'answers for others while an entry is corrupt',
    leavingNoTrace(daemon, async (t) => {
      const entry = `${daemon.registryDirectory}/nbroken.userns`;
      const starts = ['u', 'g'].map((kind) => `${daemon.registryDirectory}/${kind}524288.userns`);
      for (const text of [
        '',
        '{',
        '[]',
        '{"owner":0,"name":"broken"}',
        '{"owner":0,"name":"probe","userns":5}',
        '\0',
      ]) {
        writeFileSync(entry, text);
        for (const start of starts) writeFileSync(start, text);
        t.strictSame(await ask(daemon, 'User', { userName: 'ns-broken-0' }), failed('EBADMSG', 74));
        t.strictSame(await ask(daemon, 'Group', { groupName: 'ns-broken-0' }), failed('EBADMSG', 74));
        t.strictSame(await ask(daemon, 'User', { uid: 524_289 }), failed('EBADMSG', 74));
        t.strictSame(await ask(daemon, 'Group', { gid: 524_289 }), failed('EBADMSG', 74));
        t.strictSame(await ask(daemon, 'User', { uid: START }), user(0));
      }
      unlinkSync(entry);
      for (const start of starts) unlinkSync(start);
    }),
  );

  await t.test('allocates while an entry is corrupt', async (t) => {
    writeFileSync(`${daemon.registryDirectory}/nbroken.userns`, '{');
    writeFileSync(`${daemon.registryDirectory}/i7.userns`, '{');
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(daemon, fd, 'sound'), given('sound'));
  });
});

import { mangledName } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';
import { allocate, ask, invalid, mapOf, refused } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { pythonClient } from '../support/python-client.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const COOKIE = 0x0123_4567_89ab_cdefn;

t.test('a name that will do is left as it is', async (t) => {
  t.equal(mangledName('web', 0, COOKIE), 'web');
  t.equal(mangledName('web', 1000, COOKIE), '1000-web');
  t.equal(mangledName('', 1000, COOKIE), '1000-');
});

t.test('one that is too long is cut', async (t) => {
  t.equal(mangledName('systemd-nspawn-4242-machine', 0, COOKIE), 'systemd-nspawn-4242-ma');
  t.equal(mangledName('systemd-nspawn-4242', 1000, COOKIE), '1000-systemd-nspawn-42');
  t.equal(mangledName('a'.repeat(30), 4_294_967_294, COOKIE), `4294967294-${'a'.repeat(11)}`);
});

t.test('what can not be a part of a user name is replaced by its hash', async (t) => {
  for (const name of ['', 'a b', '../x', 'ä', 'a\0'.repeat(20)]) {
    const hash = mangledName(name, 0, COOKIE);
    t.match(hash, /^[0-9a-f]{16}$/);
    t.equal(mangledName(name, 0, COOKIE), hash, 'the same each time');
    t.not(mangledName(name, 0, COOKIE + 1n), hash, 'and another one for another connection');
    if (name !== '') t.equal(mangledName(name, 65_534, COOKIE), `65534-${hash}`);
    if (name !== '')
      t.equal(mangledName(name, 100_000, COOKIE), undefined, 'beside a long uid there is no room for it');
  }
  // As SipHash's authors describe it, of the cookie's eight bytes and "a b".
  t.equal(mangledName('a b', 0, COOKIE), '5a95335f5565dc26');
});

t.test('whatever it is, the name is valid', async () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(0xffff_fffe), fc.bigInt(0n, 2n ** 64n - 1n), (name, uid, cookie) => {
      const mangled = mangledName(name, uid, cookie);
      if (mangled === undefined) return uid > 99_999;
      return /^[A-Za-z0-9_-]{1,22}$/.test(mangled) && (uid === 0 || mangled.startsWith(`${uid}-`));
    }),
  );
});

const LONG = 'systemd-nspawn-4242-machine';

function nameIn({ error, parameters }: RawReply): string {
  if (error !== undefined || typeof parameters?.name !== 'string') throw new Error(`no name in ${error}`);
  return parameters.name;
}

t.test('clients of systemd 258 leave the choice to us, and are told it', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const mangled = async (namespace: UserNamespace, name: string) => {
    using fd = namespace.open();
    return nameIn(await allocate(daemon, fd, name, { mangleName: true }));
  };
  using first = new UserNamespace();
  using second = new UserNamespace();
  using third = new UserNamespace();
  using fourth = new UserNamespace();
  t.equal(await mangled(first, LONG), LONG.slice(0, 22));
  t.match(await ask(daemon, 'User', { userName: `ns-${LONG.slice(0, 22)}-0` }), { parameters: { record: {} } });
  {
    using fd = second.open();
    t.strictSame(await allocate(daemon, fd, LONG, { mangleName: true }), refused('NameExists'), 'cut, it is taken');
  }
  const chosen = await mangled(third, '');
  t.match(chosen, /^[0-9a-f]{16}$/);
  t.match(await ask(daemon, 'User', { userName: `ns-${chosen}-7` }), { parameters: { record: {} } });
  t.match(mapOf(third), /^0 \d+ 65536$/);
  t.match(await mangled(fourth, ''), /^[0-9a-f]{16}$/, 'as often as one likes');

  await t.test('but one that is valid is taken at its word', async (t) => {
    using fifth = new UserNamespace();
    using fd = fifth.open();
    const again = { mangleName: true };
    t.strictSame(await allocate(daemon, fd, chosen, again), refused('NameExists'));
    t.strictSame(await allocate(daemon, fd, LONG, { mangleName: false }), invalid('name'));
    t.strictSame(await allocate(daemon, fd, LONG, { mangleName: 'yes' }), invalid('mangleName'));
    t.strictSame(await allocate(daemon, fd, 'valid', again), { parameters: { name: 'valid' } });
    fd.close();
    await fifth.end();
  });

  await t.test("and another user's has the uid in front", async (t) => {
    const client = await pythonClient(
      t,
      daemon.socketPath,
      { name: LONG, mangleName: true, size: 1, userNamespaceFileDescriptor: 0 },
      UID,
    );
    t.strictSame(client.reply, { parameters: { name: `${UID}-${LONG}`.slice(0, 22) } });
    await client.end();
  });

  await t.test('so it is for a namespace that has its maps', async (t) => {
    using registered = new UserNamespace([], '--map-root-user');
    using fd = registered.open();
    const parameters = { name: 'a b', mangleName: true, userNamespaceFileDescriptor: 0 };
    const method = 'io.systemd.NamespaceResource.RegisterUserNamespace';
    t.match(nameIn(await varlinkCall(daemon.socketPath, method, parameters, { fds: [fd.number] })), /^[0-9a-f]{16}$/);
    fd.close();
    await registered.end();
  });
  for (const namespace of [first, second, third, fourth]) await namespace.end();
});

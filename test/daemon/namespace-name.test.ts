import { isNamespaceName, parseUserName, registryName, userName } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

const names = fc.stringMatching(/^[A-Za-z0-9_-]{0,22}$/);

t.test("a client's name is taken as it is from root, and with the uid in front from others", async (t) => {
  t.equal(registryName('probe', 0), 'probe');
  t.equal(registryName('web', 1000), '1000-web');
  t.equal(registryName('a'.repeat(22), 0), 'a'.repeat(22));
  t.equal(registryName('a'.repeat(23), 0), undefined);
  t.equal(registryName('a'.repeat(17), 1000), `1000-${'a'.repeat(17)}`);
  t.equal(registryName('a'.repeat(18), 1000), undefined);
  for (const name of ['a/b', '..', 'a.b', 'a b', 'ä', 'a\n', 'a\0']) t.equal(registryName(name, 0), undefined);
});

t.test('a name is valid exactly if it makes valid user names', async () => {
  const strict = /^[A-Za-z_][A-Za-z0-9_-]{0,30}$/;
  fc.assert(
    fc.property(fc.oneof(names, fc.string({ maxLength: 30 })), (name) => {
      return isNamespaceName(name) === (strict.test(`ns-${name}-65535`) && !name.includes('\n'));
    }),
  );
});

t.test('a user name that is written is read again', async () => {
  fc.assert(
    fc.property(names, fc.nat(65_535), (name, offset) => {
      const user = parseUserName(userName({ name, offset }));
      return user?.name === name && user.offset === offset;
    }),
  );
});

t.test('no other spelling of a user name is read', async (t) => {
  t.same(parseUserName('ns-a-1-2'), { name: 'a-1', offset: 2 });
  for (const text of ['', 'root', 'ns-', 'ns-a', 'ns-a-', 'ns-a-01', 'ns-a-+1', 'ns-a- 1', 'ns-a-65536', 'ns-a-1\n']) {
    t.equal(parseUserName(text), undefined, JSON.stringify(text));
  }
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        names.map((name) => `ns-${name}`),
      ),
      (text) => {
        const user = parseUserName(text);
        return user === undefined || userName(user) === text;
      },
    ),
  );
});

import { alternativeHostName, HOST_END, hostName, NAMESPACE_END, vethAddress } from '@sdrx/daemon';
import { INTERFACE_NAME_MAX } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';

/** As systemd 257 gave them: name, owner, wanted name, host's name, its alternative, both addresses. */
const vectors = [
  ['web', 0, undefined, 'ns-6f6d5c53ef22', 'ns-0-web', '7a484ab65e5a', 'e6b0cfbb898e'],
  ['web', 0, 'eth0', 'ns-12006ff818b9', 'ns-0-web-eth0', 'fa571e8f641f', '42e3bfe7dc20'],
  ['1000-web', 1000, undefined, 'ns-9787ef424582', 'ns-1000-1000-web', '26a512bbb848', 'de6fcf823843'],
  ['probe', 0, undefined, 'ns-a9d8b652a153', 'ns-0-probe', '8e17e7eab662', 'e61aec653472'],
] as const;

const entry = (name: string, owner = 0) => ({ name, owner, userns: 1, cgroups: [] });

for (const [name, owner, wanted, host, alternative, hostAddress, address] of vectors) {
  t.test(`${name}${wanted === undefined ? '' : ` with ${wanted}`} is called and numbered as by systemd`, (t) => {
    t.equal(hostName(entry(name), wanted), host);
    t.equal(alternativeHostName(entry(name, owner), wanted), alternative);
    t.equal(vethAddress(entry(name), wanted, HOST_END).toString('hex'), hostAddress);
    t.equal(vethAddress(entry(name), wanted, NAMESPACE_END).toString('hex'), address);
    t.end();
  });
}

t.test('whatever the name, it fits, and the address is a local one of a single interface', (t) => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 22 }),
      fc.option(fc.string({ maxLength: 15 }), { nil: undefined }),
      (name, wanted) => {
        t.match(hostName(entry(name), wanted), /^ns-[0-9a-f]{8,12}$/);
        t.ok(hostName(entry(name), wanted).length <= INTERFACE_NAME_MAX);
        const [first = 0] = vethAddress(entry(name), wanted, HOST_END);
        t.equal(first & 3, 2);
        t.notOk(vethAddress(entry(name), wanted, HOST_END).equals(vethAddress(entry(name), wanted, NAMESPACE_END)));
      },
    ),
  );
  t.end();
});

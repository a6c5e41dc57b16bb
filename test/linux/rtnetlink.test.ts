import { IFF_UP, Netlink } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { errorCode } from '../support/error-code.js';
import { inNetwork } from '../support/in-network.js';
import { Network } from '../support/network.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runProgram } from '../support/run-program.js';

const MAC = (last: number) => Buffer.from([0x02, 0, 0, 0, 0, last]);

/** What another program sees of an interface: its hardware address, and whether it is up. */
function seen(network: Network, name: string): { address: string; up: boolean } {
  const script = `
import fcntl, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask = lambda request: fcntl.ioctl(s, request, struct.pack('256s', sys.argv[1].encode()))
print(ask(0x8927)[18:24].hex(), struct.unpack('H', ask(0x8913)[16:18])[0] & 1)`;
  const { output } = inNetwork(network.fd.number, () => runProgram('/usr/bin/python3', ['-c', script, name]));
  const [address = '', up] = output.trim().split(' ');
  return { address, up: up === '1' };
}

function test(name: string, body: (t: Test, here: Network, there: Network) => void): void {
  t.test(
    name,
    needsRoot,
    leavingNothing((t) => {
      using here = new Network();
      using there = new Network();
      body(t, here, there);
    }),
  );
}

test('a fresh namespace has a loopback interface', (t, here) => {
  const [loopback, ...others] = here.run((links) => links.all());
  t.match(loopback, { index: 1, name: 'lo', alternativeNames: [], flags: 8 });
  t.equal(others.length, 0);
});

test('a veth pair has an end here and an end there, with the addresses that were given, both down', (t, here, there) => {
  here.run((links) =>
    links.createVeth({ name: 'near', address: MAC(1) }, { name: 'far', address: MAC(2) }, there.fd.number),
  );
  t.strictSame(here.names(), ['lo', 'near']);
  t.strictSame(there.names(), ['far', 'lo']);
  t.strictSame(seen(here, 'near'), { address: MAC(1).toString('hex'), up: false });
  t.strictSame(seen(there, 'far'), { address: MAC(2).toString('hex'), up: false });
  const found = here.run((links) => links.find('near'));
  t.match(found, { name: 'near', alternativeNames: [] });
  t.ok(found?.address.equals(MAC(1)));
  t.equal((found?.flags ?? IFF_UP) & IFF_UP, 0);
});

test('without addresses they get random ones', (t, here, there) => {
  here.run((links) => links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number));
  t.match(seen(here, 'near').address, /^.[26ae]/);
  t.not(seen(here, 'near').address, seen(there, 'far').address);
});

test('an alternative name, of up to 127 bytes, finds the interface, too', (t, here, there) => {
  const long = 'a'.repeat(127);
  here.run((links) => {
    links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number);
    links.addAlternativeName('near', long);
    links.addAlternativeName(long, 'short');
    t.strictSame(links.find('near')?.alternativeNames, [long, 'short']);
    t.equal(links.find(long)?.name, 'near');
    t.equal(links.find('short')?.name, 'near');
    t.equal(links.all().find(({ name }) => name === 'near')?.alternativeNames.length, 2);
    t.equal(
      errorCode(() => links.addAlternativeName('near', 'short')),
      'EEXIST',
    );
    t.equal(
      errorCode(() => links.addAlternativeName('nobody', 'other')),
      'ENODEV',
    );
    t.equal(
      errorCode(() => links.addAlternativeName('near', 'a'.repeat(128))),
      'ERANGE',
    );
  });
});

test('an alternative name can be taken away', (t, here, there) => {
  here.run((links) => {
    links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number);
    links.addAlternativeName('near', 'other');
    links.deleteAlternativeName('near', 'other');
    t.equal(links.find('other'), undefined);
    t.ok(errorCode(() => links.deleteAlternativeName('near', 'other')));
    t.equal(
      errorCode(() => links.deleteAlternativeName('nobody', 'other')),
      'ENODEV',
    );
  });
});

test('it is switched on and off, and takes another address', (t, here, there) => {
  here.run((links) => {
    links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number);
    links.setUp('near');
  });
  t.equal(seen(here, 'near').up, true);
  t.equal(seen(there, 'far').up, false);
  here.run((links) => {
    links.setUp('near', false);
    links.setAddress('near', MAC(7));
  });
  t.strictSame(seen(here, 'near'), { address: MAC(7).toString('hex'), up: false });
});

test('to delete one end deletes both', (t, here, there) => {
  here.run((links) => {
    links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number);
    links.addAlternativeName('near', 'a-name-of-more-than-15-bytes');
    links.delete('a-name-of-more-than-15-bytes');
  });
  t.strictSame([here.names(), there.names()], [['lo'], ['lo']]);
});

test('what can not be done is an error that says why, and nothing is done', (t, here, there) => {
  here.run((links) => {
    links.createVeth({ name: 'near' }, { name: 'far' }, there.fd.number);
    const make = (name: string, peer: string, address?: Buffer, namespace = there.fd.number) =>
      errorCode(() => links.createVeth({ name, ...(address && { address }) }, { name: peer }, namespace));
    t.equal(make('near', 'other'), 'EEXIST');
    t.equal(make('other', 'far'), 'EEXIST');
    t.equal(make('a'.repeat(16), 'other'), 'ERANGE');
    t.equal(make('a/b', 'other'), 'EINVAL');
    t.equal(make('other', 'a b'), 'EINVAL');
    t.equal(make('', 'other', undefined), 'EINVAL');
    t.equal(make('a\0b', 'other'), 'EINVAL');
    t.equal(make('other', 'peer', MAC(1).subarray(0, 3)), 'EINVAL');
    t.equal(make('other', 'peer', undefined, 0xffff), 'EBADF');
    t.equal(make('other', 'peer', Buffer.from([1, 0, 0, 0, 0, 0])), 'EADDRNOTAVAIL');
    t.equal(
      errorCode(() => links.delete('nobody')),
      'ENODEV',
    );
    t.equal(
      errorCode(() => links.setUp('nobody')),
      'ENODEV',
    );
    t.equal(links.find('nobody'), undefined);
    t.equal(links.find('nobody-with-a-name-of-more-than-15-bytes'), undefined);
  });
  t.strictSame(
    [here.names(), there.names()],
    [
      ['lo', 'near'],
      ['far', 'lo'],
    ],
  );
});

test('the kernel gives its reason in words', (t, here) => {
  here.run((links) => {
    t.throws(() => links.delete('lo'), { code: 'EOPNOTSUPP', syscall: 'RTM_DELLINK', subject: /^lo/ });
    t.throws(() => links.setUp('a'.repeat(130)), { code: 'ERANGE', subject: /: .+/ });
  });
});

test('a namespace of many interfaces is told whole', (t, here, there) => {
  const names = Array.from({ length: 150 }, (_, index) => `near${index}`);
  here.run((links) => {
    for (const name of names) links.createVeth({ name }, { name: name.replace('near', 'far') }, there.fd.number);
    t.strictSame(new Set(links.all().map(({ name }) => name)), new Set(['lo', ...names]));
  });
});

t.test(
  'a family that there is not is an error',
  leavingNothing((t) => {
    t.equal(
      errorCode(() => new Netlink(31)),
      'EPROTONOSUPPORT',
    );
  }),
);

test('who may not gets an error', (t, here) => {
  const program = programPath('programs/veth-as-nobody.js', import.meta.url);
  t.equal(inNetwork(here.fd.number, () => runNode([program])).output, 'EPERM');
});

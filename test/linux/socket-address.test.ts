import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  accept,
  bindAddress,
  connectAddress,
  decodeAddress,
  EPOLLERR,
  EPOLLOUT,
  encodeAddress,
  type Fd,
  formatAddress,
  listen,
  localAddress,
  makeSocket,
  O_NONBLOCK,
  peerAddress,
  pollNow,
  SOCK_STREAM,
  type SocketAddress,
  takeSocketError,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';

const port = fc.integer({ min: 0, max: 0xffff });
const word = fc.integer({ min: 0, max: 0xffff_ffff });
const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' });

const PLAIN = { noNullPrototype: true };

const addresses: fc.Arbitrary<SocketAddress> = fc.oneof(
  fc.constant({ family: 'unix' as const }),
  text.map((name) => ({ family: 'unix' as const, path: `/${name}` })),
  text.map((name) => ({ family: 'unix' as const, path: `@${name}` })),
  fc.record({ family: fc.constant('inet' as const), host: fc.ipV4(), port }, PLAIN),
  fc.record({ family: fc.constant('vsock' as const), cid: word, port: word }, PLAIN),
);

t.test('an address that is written is read as the same', async (t) => {
  fc.assert(
    fc.property(addresses, (address) => {
      t.same(decodeAddress(encodeAddress(address)), address);
    }),
  );
  fc.assert(
    fc.property(fc.ipV6(), port, fc.integer({ min: 0, max: 9 }), (host, port, scope) => {
      const address = { family: 'inet6', host: scope === 0 ? host : `${host}%${scope}`, port } as const;
      const read = decodeAddress(encodeAddress(address)) as typeof address;
      // Of several texts for one address the kernel's people write another one.
      t.strictSame(encodeAddress(read), encodeAddress(address));
      t.match(read, { family: 'inet6', port });
    }),
  );
});

t.test('addresses are formatted as people write them', async (t) => {
  t.equal(formatAddress({ family: 'unix' }), 'unnamed');
  t.equal(formatAddress({ family: 'unix', path: '@x' }), '@x');
  t.equal(formatAddress({ family: 'inet', host: '127.0.0.1', port: 80 }), '127.0.0.1:80');
  t.equal(formatAddress({ family: 'inet6', host: '::1', port: 80 }), '[::1]:80');
  t.equal(formatAddress({ family: 'vsock', cid: 2, port: 80 }), 'vsock:2:80');
});

t.test('what is no address is refused by name', async (t) => {
  t.throws(() => encodeAddress({ family: 'inet', host: 'example.org', port: 1 }), {
    code: 'EINVAL',
    message: /example.org:1/,
  });
  t.throws(() => encodeAddress({ family: 'inet6', host: '127.0.0.1', port: 1 }), { code: 'EINVAL' });
  t.throws(() => encodeAddress({ family: 'inet6', host: 'fe80::1%nothere0', port: 1 }), {
    code: 'ENODEV',
    message: /nothere0/,
  });
  t.throws(() => encodeAddress({ family: 'unix', path: `/${'x'.repeat(107)}` }), { code: 'EMSGSIZE' });
  t.equal(decodeAddress(Buffer.from([16, 0, 0, 0])), undefined);
  t.equal(decodeAddress(Buffer.alloc(0)), undefined);
});

const FAMILIES = { unix: AF_UNIX, inet: AF_INET, inet6: AF_INET6 };
const PLACES: readonly (SocketAddress & { readonly family: keyof typeof FAMILIES })[] = [
  { family: 'unix', path: `@sdrx-connect-${process.pid}` },
  { family: 'inet', host: '127.0.0.1', port: 0 },
  { family: 'inet6', host: '::1', port: 0 },
];

/** A socket that is bound, and where it is: the kernel has chosen the port. */
function bound(place: (typeof PLACES)[number]): [Fd, SocketAddress] {
  const socket = makeSocket(FAMILIES[place.family], SOCK_STREAM);
  bindAddress(socket.number, place);
  return [socket, localAddress(socket.number) ?? place];
}

for (const place of PLACES) {
  t.test(
    `a socket is connected to an address, or refused: ${place.family}`,
    leavingNothing((t) => {
      const [socket, address] = bound(place);
      using listener = socket;
      using refused = makeSocket(FAMILIES[place.family], SOCK_STREAM);
      t.throws(() => connectAddress(refused.number, address), {
        code: 'ECONNREFUSED',
        syscall: 'connect',
        subject: formatAddress(address),
      });
      listen(listener.number);
      using client = makeSocket(FAMILIES[place.family], SOCK_STREAM);
      connectAddress(client.number, address);
      using accepted = accept(listener.number);
      t.ok(accepted);
      t.strictSame(peerAddress(client.number), address);
      t.equal(
        errorCode(() => connectAddress(client.number, address)),
        'EISCONN',
      );
    }),
  );
}

t.test(
  'of a socket that does not block it begins, and how it went is told later',
  leavingNothing(async (t) => {
    const [socket, address] = bound({ family: 'inet', host: '127.0.0.1', port: 0 });
    using listener = socket;
    for (const expected of ['refused', 'connected'] as const) {
      if (expected === 'connected') listen(listener.number);
      using client = makeSocket(AF_INET, SOCK_STREAM | O_NONBLOCK);
      connectAddress(client.number, address);
      let revents = 0;
      await until(() => {
        revents = pollNow(client.number, EPOLLOUT);
        return revents !== 0;
      });
      t.equal((revents & EPOLLERR) !== 0, expected === 'refused');
      t.equal(takeSocketError(client.number) !== 0, expected === 'refused');
    }
  }),
);

import { formatListenAddress, ListenAddressError, parseListenAddress } from '@sdrx/event';
import fc from 'fast-check';
import t from 'tap';

const good: [string, object][] = [
  ['unix:/run/x.sock', { kind: 'unix', type: 'stream', path: '/run/x.sock' }],
  ['unix:@x', { kind: 'unix', type: 'stream', path: '@x' }],
  ['unix-datagram:/run/log', { kind: 'unix', type: 'datagram', path: '/run/log' }],
  ['unix-seqpacket:/run/a b:c', { kind: 'unix', type: 'seqpacket', path: '/run/a b:c' }],
  ['tcp:127.0.0.1:8080', { kind: 'inet', type: 'stream', host: '127.0.0.1', port: 8080 }],
  ['tcp:[::1]:0', { kind: 'inet', type: 'stream', host: '::1', port: 0 }],
  ['tcp:[fe80::1%eth0]:80', { kind: 'inet', type: 'stream', host: 'fe80::1%eth0', port: 80 }],
  ['udp:localhost:53', { kind: 'inet', type: 'datagram', host: '127.0.0.1', port: 53 }],
  ['udp:*:65535', { kind: 'inet', type: 'datagram', host: '::', port: 65_535 }],
];

for (const [text, address] of good) {
  t.test(`${text} is an address`, async (t) => {
    t.strictSame(parseListenAddress(text), address);
    t.strictSame(parseListenAddress(formatListenAddress(parseListenAddress(text))), address, 'and so as text again');
  });
}

const bad = [
  ...['', '8080', 'unix:', 'unix:x.sock', 'unix:@', 'unix:/a\0b', `unix:/${'x'.repeat(107)}`, 'unix-stream:/x'],
  ...['tcp:8080', 'tcp::8080', 'tcp:127.0.0.1', 'tcp:127.0.0.1:', 'tcp:127.0.0.1:65536', 'tcp:127.0.0.1:-1'],
  ...['tcp:::1:80', 'tcp:[::1]', 'tcp:[127.0.0.1]:80', 'tcp:example.org:80', 'tcp:[::g]:80', 'sctp:127.0.0.1:80'],
  ...['tcp:127.0.0.1:80 ', ' tcp:127.0.0.1:80', 'TCP:127.0.0.1:80', 'tcp:127.0.0.1:0x50', 'tcp:127.1:80'],
];

t.test('what is no address is told so by name, with what would be one', async (t) => {
  for (const text of bad) {
    t.throws(() => parseListenAddress(text), { name: 'ListenAddressError', text, message: /tcp:HOST:PORT/ }, text);
  }
});

t.test('no text makes it do anything else', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((rest) => `tcp:${rest}`),
        fc.string().map((rest) => `unix:${rest}`),
      ),
      (text) => {
        try {
          return formatListenAddress(parseListenAddress(text)).length > 0;
        } catch (error) {
          return error instanceof ListenAddressError;
        }
      },
    ),
  );
});

import { readFileSync } from 'node:fs';
import {
  attachTun,
  attachTunInThread,
  type Fd,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN,
  IFF_TUN_EXCL,
  IFF_UP,
  openTun,
  setTunOwner,
  write,
} from '@sdrx/linux';
import t, { type Test } from 'tap';
import { errorCode } from '../support/error-code.js';
import { inNetwork } from '../support/in-network.js';
import { Network } from '../support/network.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsTun } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const attachTunAs = programPath('programs/attach-tun-as.js', import.meta.url);

const TAP = IFF_TAP | IFF_NO_PI;

const open = (network: Network): Fd => network.run(() => openTun());

function test(name: string, body: (t: Test, network: Network) => void | Promise<void>): void {
  t.test(
    name,
    needsTun,
    leavingNothing(async (t) => {
      using network = new Network();
      await body(t, network);
    }),
  );
}

for (const [how, attach] of [
  ['', attachTun],
  [' in a thread', attachTunInThread],
] as const) {
  test(`an interface is made${how}, down, where the device was opened, and lives as long as that`, async (t, network) => {
    {
      using tap = open(network);
      t.equal(await attach(tap.number, 'made', TAP), 'made');
      const link = network.run((links) => links.find('made'));
      t.equal((link?.flags ?? IFF_UP) & IFF_UP, 0);
      t.equal(link?.address.length, 6);
    }
    t.strictSame(network.names(), ['lo']);
  });

  test(`one that is there${how} has one user at a time, and may have to be new`, async (t, network) => {
    using first = open(network);
    await attach(first.number, 'made', TAP);
    using second = open(network);
    await t.rejects(async () => await attach(second.number, 'made', TAP), { code: 'EBUSY' });
    await t.rejects(async () => await attach(second.number, 'made', TAP | IFF_TUN_EXCL), { code: 'EBUSY' });
    await t.rejects(async () => await attach(first.number, 'other', TAP), { code: 'EEXIST' });
    t.equal(await attach(second.number, 'other', TAP | IFF_TUN_EXCL), 'other');
  });

  test(`names${how} are completed by the kernel, or refused`, async (t, network) => {
    using counted = open(network);
    t.equal(await attach(counted.number, 'x%d', TAP), 'x0');
    using nameless = open(network);
    t.match(await attach(nameless.number, '', IFF_TUN), /^tun\d+$/);
    using refused = open(network);
    for (const [name, code] of [
      ['a/b', 'EINVAL'],
      ['a\0b', 'EINVAL'],
      ['a'.repeat(16), 'ERANGE'],
      ['ä'.repeat(8), 'ERANGE'],
      ['lo', 'EINVAL'],
    ] as const)
      await t.rejects(async () => await attach(refused.number, name, TAP), { code }, JSON.stringify(name));
    t.equal(await attach(refused.number, 'a'.repeat(15), TAP), 'a'.repeat(15));
  });
}

test('what is written to it comes in by the interface once that is up', (t, network) => {
  using tap = open(network);
  attachTun(tap.number, 'made', TAP);
  const frame = Buffer.alloc(60);
  t.equal(
    errorCode(() => write(tap.number, frame)),
    'EIO',
  );
  network.run((links) => links.setUp('made'));
  t.equal(write(tap.number, frame), frame.length);
  const statistics = inNetwork(network.fd.number, () => readFileSync('/proc/thread-self/net/dev', 'ascii'));
  t.match(statistics, /^ *made: *\d+ +1 /m, 'one packet was received');
});

test('its owner is who may attach to it', (t, network) => {
  using tap = open(network);
  t.equal(
    errorCode(() => setTunOwner(tap.number, 65_534)),
    'EBADFD',
  );
  attachTun(tap.number, 'made', TAP);
  setTunOwner(tap.number, 65_534);
  const attachAs = (uid: number) =>
    inNetwork(network.fd.number, () => runNode([attachTunAs, String(uid), 'made', String(TAP)])).output;
  t.equal(attachAs(65_534), 'EBUSY', 'but not as long as somebody else is');
  t.equal(attachAs(65_533), 'EPERM');
});

test('a descriptor of something else is refused', (t, network) => {
  using tap = open(network);
  tap.close();
  t.equal(
    errorCode(() => attachTun(tap.number, 'made', TAP)),
    'EBADF',
  );
});

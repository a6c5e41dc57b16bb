import { namespaceResource } from '@sdrx/daemon';
import type { Fd } from '@sdrx/linux';
import t from 'tap';
import { allocate, failed, given, USERNS } from '../support/allocation.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { needsRoot } from '../support/privileges.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const METHOD = `${namespaceResource.name}.RegisterUserNamespace`;
const TOO_MANY = failed('EUSERS', 87);

function register({ socketPath }: Daemon, { number }: Fd, name: string): Promise<RawReply> {
  return varlinkCall(socketPath, METHOD, { name, [USERNS]: 0 }, { fds: [number] });
}

t.test('who has as many namespaces as allowed is told so after a while, all calls at a time', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { args: ['--max-namespaces-per-user=2'] });
  using first = new UserNamespace();
  using second = new UserNamespace();
  using third = new UserNamespace([], '--map-root-user');
  for (const [name, namespace] of Object.entries({ first, second })) {
    using fd = namespace.open();
    t.strictSame(await allocate(daemon, fd, name), given(name));
  }
  using fd = third.open();
  const begin = performance.now();
  const replies = await Promise.all([
    ...Array.from({ length: 20 }, () => register(daemon, fd, 'third')),
    ...Array.from({ length: 20 }, () => allocate(daemon, fd, 'third')),
  ]);
  const taken = performance.now() - begin;
  for (const reply of replies) t.strictSame(reply, TOO_MANY);
  t.ok(taken >= 500, `after ${taken} ms`);
  await t.test('one that is dead makes room', numbersNamespaces, async (t) => {
    await first.end();
    t.strictSame(await register(daemon, fd, 'third'), given('third'));
    t.strictSame(await register(daemon, fd, 'fourth'), TOO_MANY);
  });
});

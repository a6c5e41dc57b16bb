import { fork } from 'node:child_process';
import { once } from 'node:events';
import { userDatabase } from '@sdrx/daemon';
import t, { type Test } from 'tap';
import { allocate, ask, failed, given, invalid, USERNS } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import type { MuteFile } from '../support/mute-fuse.js';
import { needsFuse } from '../support/mute-fuse.js';
import { programPath } from '../support/program-path.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';
import { within } from '../support/within.js';
import type { MuteCalls, MuteReplies } from './mute-client.js';

/** Three a worker. A daemon that asks one of them anything that its server has to answer is gone after five. */
const TIMES = 3;

/** The longest that any of it may take, in milliseconds: to none at all there is an answer without our checks. */
const LIMIT = 60_000;

const NETWORK = 'networkNamespaceFileDescriptor';
const CGROUP = 'controlGroupFileDescriptor';

/** A call with a mute descriptor, and the reply to each kind of it. */
interface Case {
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly afterNamespace?: boolean;
  readonly reply: (file: MuteFile) => RawReply;
}

const notOurs = () => invalid(USERNS);

const cases: readonly Case[] = [
  { method: 'AllocateUserRange', parameters: { name: 'mute', size: 1, [USERNS]: 0 }, reply: notOurs },
  { method: 'RegisterUserNamespace', parameters: { name: 'mute', [USERNS]: 0 }, reply: notOurs },
  { method: 'AddControlGroupToUserNamespace', parameters: { [USERNS]: 0, [CGROUP]: 0 }, reply: notOurs },
  {
    method: 'AddControlGroupToUserNamespace',
    parameters: { [USERNS]: 0, [CGROUP]: 1 },
    afterNamespace: true,
    reply: (file) =>
      ({
        file: failed('EACCES', 13),
        directory: failed('EACCES', 13),
        'overlay file': failed('ENOTDIR', 20),
        'overlay directory': invalid(CGROUP),
      })[file],
  },
  { method: 'AddNetworkToUserNamespace', parameters: { [USERNS]: 0, [NETWORK]: 0, mode: 'veth' }, reply: notOurs },
  {
    method: 'AddNetworkToUserNamespace',
    parameters: { [USERNS]: 0, [NETWORK]: 1, mode: 'veth' },
    afterNamespace: true,
    reply: () => invalid(NETWORK),
  },
  {
    method: 'AddMountToUserNamespace',
    parameters: { [USERNS]: 0, mountFileDescriptor: 0 },
    reply: () => ({ error: 'org.varlink.service.PermissionDenied', parameters: {} }),
  },
];

/** Has a user of its own call a method with mute descriptors, and others then: all are answered. */
async function checkCase(t: Test, daemon: Daemon, index: number): Promise<void> {
  const { method, parameters, afterNamespace = false, reply } = cases[index] as Case;
  const { socketPath } = daemon;
  const calls: MuteCalls = { socketPath, uid: UID + index, method, parameters, afterNamespace, times: TIMES };
  const client = fork(programPath('mute-client.js', import.meta.url), [JSON.stringify(calls)]);
  t.teardown(() => client.kill('SIGKILL'));
  const ended = once(client, 'exit');
  try {
    const [replies]: MuteReplies[] = await once(client, 'message');
    for (const [file, found] of Object.entries(replies ?? {}))
      t.strictSame(
        found.map((text) => JSON.parse(text)),
        [reply(file as MuteFile)],
        file,
      );
    // With what was passed still open: as many as there are workers, and more.
    const others = Array.from({ length: 10 }, () => ask(daemon, 'User', { uid: 524_288 }));
    for (const { error } of await Promise.all(others)) t.equal(error, `${userDatabase.name}.NoRecordFound`);
  } finally {
    client.send('end');
    await ended;
  }
}

t.test('descriptors of files that never answer', needsFuse, async (t) => {
  const daemon = await startDaemon(t);
  using namespace = new UserNamespace();
  using fd = namespace.open();
  for (const [index, { method, afterNamespace }] of cases.entries()) {
    await t.test(`are no user namespace for ${method}${afterNamespace ? ', nor what else it takes' : ''}`, (t) =>
      within(LIMIT, () => `no answer, ${daemon.log()}`, checkCase(t, daemon, index)),
    );
  }
  await t.test('and afterwards a range is given as ever', async (t) => {
    t.strictSame(await allocate(daemon, fd, 'after-all'), given('after-all'));
  });
});

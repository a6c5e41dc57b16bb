import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { USERNS } from '../../support/allocation.js';
import { callAs, UID } from '../../support/call-as.js';
import { type Daemon, startDaemon } from '../../support/daemon.js';
import { Folder } from '../../support/folder.js';
import { end, MessageBus } from '../../support/message-bus.js';
import { needsRoot } from '../../support/privileges.js';
import { programPath } from '../../support/program-path.js';
import { UserNamespace } from '../../support/user-namespace.js';
import type { RawReply } from '../../support/varlink-call.js';

const POLKITD = ['/usr/lib/polkit-1/polkitd', '/usr/libexec/polkitd'].find(existsSync);
const needsPolkit = POLKITD === undefined ? { skip: 'polkitd is not installed' } : needsRoot;
const policy = programPath('../../../../packages/daemon/polkit/sdrx-nsresourced.policy', import.meta.url);

const ANOTHER = 1001;
const DENIED: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };
const CHALLENGED: RawReply = { error: 'io.systemd.InteractiveAuthenticationRequired', parameters: {} };

/** By the name of a namespace. Each of the two actions implies the other one, so both have to be refused. */
const RULES = `
polkit.addRule(function (action, subject) {
  if (!/^io.systemd.namespace-resource.(allocate|register)-user-namespace$/.test(action.id)) return;
  var name = action.lookup('name');
  if (name === '${UID}-forbidden' || name === '${ANOTHER}-forbidden') return polkit.Result.NO;
  if (name === '${UID}-asked') return polkit.Result.AUTH_ADMIN;
  return polkit.Result.NOT_HANDLED;
});
`;

/** Starts polkit on a bus, with these rules, and with our policy or none. */
async function startPolkit(t: Test, bus: MessageBus, folder: Folder, withPolicy: boolean): Promise<void> {
  const name = withPolicy ? 'policy' : 'none';
  for (const part of ['actions', 'rules']) mkdirSync(folder.join(name, part), { recursive: true });
  writeFileSync(folder.join(name, 'rules', '50-test.rules'), RULES);
  const script = `
chmod -R a+rX "$1"
mount --bind "$1/actions" /usr/share/polkit-1/actions && mount --bind "$1/rules" /etc/polkit-1/rules.d
[ -z "$2" ] || cp "$2" /usr/share/polkit-1/actions
exec "$3"`;
  const args = ['--mount', 'sh', '-c', script, 'sh', folder.join(name), withPolicy ? policy : '', POLKITD ?? ''];
  const child: ChildProcess = spawn('unshare', args, {
    env: { PATH: process.env.PATH, ...bus.environment },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  t.teardown(() => end(child));
  if (child.stdout === null) throw new Error('its output is not read');
  const lines = createInterface(child.stdout);
  await new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => line.includes('Acquired the name') && resolve());
    lines.on('close', () => reject(new Error('polkitd has ended')));
  });
}

/** Asks for ids for a new namespace of a user. */
function allocate(daemon: Daemon, uid: number, name: string): RawReply {
  using namespace = new UserNamespace(uid);
  using fd = namespace.open();
  const parameters = { name, size: 1, [USERNS]: 0 };
  return callAs(uid, daemon.socketPath, 'io.systemd.NamespaceResource.AllocateUserRange', parameters, [fd.number]);
}

t.test('the real polkit', needsPolkit, async (t) => {
  using folder = new Folder();
  const bus = await MessageBus.start(t);
  const daemon = await startDaemon(t, { env: bus.environment });

  await t.test('with our policy', async (t) => {
    await startPolkit(t, bus, folder, true);
    t.equal(allocate(daemon, UID, 'plain').error, undefined, 'lets everybody do what no rule forbids');
    t.strictSame(allocate(daemon, UID, 'forbidden'), DENIED, 'obeys a rule');
    t.strictSame(allocate(daemon, ANOTHER, 'forbidden'), DENIED, 'for another user, too');
    t.strictSame(allocate(daemon, UID, 'asked'), CHALLENGED, 'says that a password would be needed');
    t.equal(allocate(daemon, UID, 'last').error, undefined);
    t.notMatch(daemon.log(), /polkit/);
  });

  await t.test('without it', async (t) => {
    await startPolkit(t, bus, folder, false);
    t.equal(allocate(daemon, UID, 'forbidden').error, undefined, 'everybody may, as no rule can say anything');
    t.match(await daemon.waitForLog(/polkit does not know .*/), [/sdrx-nsresourced.policy is not installed/]);
  });
});

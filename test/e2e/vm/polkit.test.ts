import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { programPath } from '../../support/program-path.js';
import { untilOr } from '../../support/until.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { type Answer, callAs } from './caller.js';
import { ALICE, attempt, needsVirtualMachine } from './machine.js';
import { API, serve } from './service.js';

const NAME = 'sdrx-nsresourced.policy';
const POLICY = `/usr/share/polkit-1/actions/${NAME}`;
const RULES = '/etc/polkit-1/rules.d/50-sdrx.rules';
const ACTION = 'io.systemd.namespace-resource.allocate-user-namespace';

/** How long polkit may take to see a file, in milliseconds: an emulated machine is slow. */
const LIMIT = 600_000;

const ours = programPath(`../../../../packages/daemon/polkit/${NAME}`, import.meta.url);

/** Nobody but root. */
const RULE = `
polkit.addRule(function (action, subject) {
  if (action.id.indexOf('io.systemd.namespace-resource.') === 0) return polkit.Result.NO;
});
`;

async function allocate(uid: number): Promise<Answer> {
  using namespace = new UserNamespace(uid);
  return await callAs(uid, {
    method: `${API}.AllocateUserRange`,
    parameters: { name: 'polkit', size: 1, userNamespaceFileDescriptor: 0 },
    files: [{ path: `/proc/${namespace.child.pid}/ns/user` }],
  });
}

/** Waits until a user is answered so. */
async function untilAnswered(uid: number, error: string | undefined): Promise<void> {
  let last: Answer | undefined;
  const end = performance.now() + LIMIT;
  for (;;) {
    last = await allocate(uid);
    if (!('closed' in last) && last.error === error) return;
    if (performance.now() > end) throw new Error(JSON.stringify(last));
  }
}

t.test('the polkit of the machine, over its bus, says who may', needsVirtualMachine, async (t) => {
  t.teardown(() => {
    for (const path of [POLICY, RULES]) rmSync(path, { force: true });
  });
  await serve('sdrx');
  await t.test('without our policy nobody can be refused', async () => {
    await untilAnswered(ALICE, undefined);
  });
  await t.test('with it and without a rule everybody may', async () => {
    copyFileSync(ours, POLICY);
    await untilOr(
      LIMIT,
      () => attempt('pkaction', '--action-id', ACTION).status === 0,
      () => attempt('pkaction').output,
      1000,
    );
    await untilAnswered(ALICE, undefined);
  });
  await t.test('with a rule only root may', async () => {
    writeFileSync(RULES, RULE);
    await untilAnswered(ALICE, 'org.varlink.service.PermissionDenied');
    await untilAnswered(0, undefined);
  });
  await t.test('without the rule everybody may again', async () => {
    rmSync(RULES);
    await untilAnswered(ALICE, undefined);
  });
});

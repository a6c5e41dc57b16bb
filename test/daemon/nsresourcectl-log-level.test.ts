import { rmSync } from 'node:fs';
import t from 'tap';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { asUser, control } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';

t.test('log-level reaches the manager and each of its workers', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  t.strictSame(control(daemon, ['log-level', 'debug']), { output: '', errors: '', status: 0 });
  await daemon.waitForLog(/nsresourced\[\d+\]: log level is now debug/);
  await daemon.waitForLog(/(nsresourcework\[\d+\]: log level is now debug\n.*){5}/s);
});

t.test('it is for root, and for a daemon that runs', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  t.match(control(daemon, ['log-level', 'info'], asUser(UID)), { status: 1, errors: /only root may do that/ });
  t.match(control(daemon, ['log-level', 'loud']), { status: 2, errors: /'loud' is no level: it is one of emerg, / });
  await daemon.stop();
  t.match(control(daemon, ['log-level', 'info']), { status: 1, errors: /no nsresourced runs for / });
  rmSync(`${daemon.runtimeDirectory}/nsresource/manager`);
  t.match(control(daemon, ['log-level', 'info']), { status: 1, errors: /no nsresourced runs for / });
});

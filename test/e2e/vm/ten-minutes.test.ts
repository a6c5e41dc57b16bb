import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../../support/folder.js';
import { programPath } from '../../support/program-path.js';
import { patternOf, TenMinutes } from '../../support/ten-minutes.js';
import { attempt, needsVirtualMachine, run } from './machine.js';
import { property } from './service.js';

const SERVICE = 'greeter.service';
const UNITS = ['greeter.socket', SERVICE];

/** What the page expects, and this machine has not. */
const PROGRAMS = {
  '/usr/local/bin/sudo': '#!/bin/sh\nexec "$@"\n',
  '/usr/local/bin/curl': `#!${process.execPath}
fetch(process.argv.at(-1), { signal: AbortSignal.timeout(120_000) }).then((response) => response.text()).then((text) => process.stdout.write(text));
`,
};

t.test('the unit of docs/ten-minutes.md, as the page has it installed', needsVirtualMachine, async (t) => {
  for (const [path, text] of Object.entries(PROGRAMS)) writeFileSync(path, text, { mode: 0o755 });
  if (!existsSync('/usr/bin/node')) symlinkSync(process.execPath, '/usr/bin/node');
  t.teardown(() => attempt('systemctl', 'disable', '--now', ...UNITS));

  using project = new Folder();
  // As others are, of which it is a copy that the service's user reads.
  chmodSync(project.path, 0o755);
  const page = new TenMinutes();
  for (const name of ['greeter.js', ...UNITS]) writeFileSync(project.join(name), page.file(name));
  writeFileSync(project.join('package.json'), '{ "type": "module" }');
  mkdirSync(project.join('node_modules'));
  for (const name of ['@sdrx', 'rxjs']) {
    symlinkSync(programPath(`../../../../node_modules/${name}`, import.meta.url), project.join(`node_modules/${name}`));
  }

  const { steps } = page;
  const change = steps.findIndex(({ command }) => command.startsWith('sed'));
  const first = steps.findIndex(({ command }) => command.startsWith('systemd-analyze'));
  for (const { command, shown } of [...steps.slice(change, change + 1), ...steps.slice(first)]) {
    const pid = property('MainPID', SERVICE);
    const { status, output } = attempt('sh', '-c', `cd ${project.path} && ${command}`);
    t.equal(status, 0, `${command}\n${output}`);
    const [, verb] = /systemctl (\w+)/.exec(command) ?? [];
    if (verb === 'reload' || verb === 'restart') t.not(property('MainPID', SERVICE), pid);
    else if (verb === 'status') t.match(output, /^ +Active: active \(running\)/m);
    else if (shown !== '') t.match(output, patternOf(shown), command);
  }
  t.equal(property('ActiveState', SERVICE), 'active');
  t.equal(property('NRestarts', SERVICE), '0');
  t.match(run('curl', '-s', 'http://127.0.0.1:8080/'), /^good day, visitor \d+\n$/);
});

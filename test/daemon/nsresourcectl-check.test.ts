import t from 'tap';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { asUser, control, onTerminal } from '../support/nsresourcectl.js';
import { needsRoot } from '../support/privileges.js';

interface Finding {
  readonly what: string;
  readonly state: string;
  readonly detail: string;
  readonly remedy?: string;
}

const find = (text: string, what: string) => (JSON.parse(text) as Finding[]).find((finding) => finding.what === what);

const NOWHERE = { runtimeDirectory: '/nonexistent' };

t.test('check tells of each thing whether it is there, and what to do if not', async (t) => {
  const { output, errors } = control(NOWHERE, ['check', '--json']);
  const findings = JSON.parse(output) as Finding[];
  t.equal(errors, '');
  for (const { what, state, detail, remedy } of findings) {
    t.match(state, /^(ok|missing|absent|unknown)$/, what);
    t.not(detail, '');
    if (state === 'missing' || state === 'absent') t.type(remedy, 'string', what);
  }
  t.strictSame(
    findings.map(({ what }) => what),
    [
      ...[
        'user namespaces',
        'kernel',
        'BPF security module',
        'BTF',
        'BPF file system',
        'libbpf',
        'death of namespaces',
      ],
      ...['ids of namespaces', 'memory pressure', 'control groups'],
      ...['util-linux', 'systemd', "systemd's clients", 'names of lent ids', 'polkit', 'subordinate ids', 'daemon'],
    ],
  );
});

t.test('without a daemon something is missing', async (t) => {
  const { output, status } = control(NOWHERE, ['check', '--json']);
  t.match(find(output, 'daemon'), { state: 'missing', detail: /nobody listens at \/nonexistent/, remedy: /systemctl/ });
  t.equal(status, 1);
});

t.test('with one it says what that gives', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const { output } = control(daemon, ['check', '--json'], asUser(UID));
  t.match(find(output, 'daemon'), { state: 'ok', detail: /^nsresourced \d+\.\d+\.\d+ at / });
  t.match(find(output, 'ids for namespaces'), { state: 'ok' });
  t.match(find(output, 'registry'), { state: 'ok', detail: /^0 namespaces in / });
});

t.test('programs that can not be found are missing', async (t) => {
  const { output } = control(
    NOWHERE,
    ['check', '--json'],
    ['env', `PATH=/nonexistent:${process.execPath.replace(/\/node$/, '')}`],
  );
  t.match(find(output, 'systemd'), { state: 'absent' });
});

t.test('people get a line for each, and a remedy below it', async (t) => {
  const { output } = control(NOWHERE, ['check']);
  t.match(output, /^missing +daemon +nobody listens at .*\n +→ systemctl enable/m);
  t.match(output, /^ok +util-linux +unshare, nsenter, setpriv$/m);
  t.match(onTerminal(NOWHERE, ['check']), '\x1b[31mmissing\x1b[39m  daemon');
});

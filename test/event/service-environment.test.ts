import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { EnvironmentError, type ServiceEnvironment, serviceEnvironment } from '@sdrx/event';
import t from 'tap';
import { cgroupRoot, needsCgroups } from '../support/cgroup.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';

type Member = keyof ServiceEnvironment;

const ID = '0123456789abcdef0123456789abcdef';

/** What a variable makes of a member. */
const READ: readonly (readonly [member: Member, variables: NodeJS.ProcessEnv, value: unknown])[] = [
  ['isMainProcess', {}, false],
  ['isMainProcess', { SYSTEMD_EXEC_PID: String(process.pid) }, true],
  ['isMainProcess', { SYSTEMD_EXEC_PID: String(process.ppid) }, false],
  ['invocation', {}, undefined],
  ['invocation', { INVOCATION_ID: ID.toUpperCase() }, ID],
  ['debug', {}, false],
  ['debug', { DEBUG_INVOCATION: '1' }, true],
  ['trigger', {}, undefined],
  ['trigger', { TRIGGER_UNIT: 'new.path', TRIGGER_PATH: '/srv/new' }, { unit: 'new.path', path: '/srv/new' }],
  [
    'trigger',
    { TRIGGER_UNIT: 'a.timer', TRIGGER_TIMER_REALTIME_USEC: '1795804494704798', TRIGGER_TIMER_MONOTONIC_USEC: '1500' },
    { unit: 'a.timer', realtime: 1795804494704.798, monotonic: 1.5 },
  ],
  ['directories', {}, { runtime: [], state: [], cache: [], logs: [], configuration: [] }],
  [
    'directories',
    {
      RUNTIME_DIRECTORY: '/run/a:/run/b c',
      STATE_DIRECTORY: '/var/lib/a',
      CACHE_DIRECTORY: '/var/cache/a',
      LOGS_DIRECTORY: '/var/log/a',
      CONFIGURATION_DIRECTORY: '/etc/a',
    },
    {
      runtime: ['/run/a', '/run/b c'],
      state: ['/var/lib/a'],
      cache: ['/var/cache/a'],
      logs: ['/var/log/a'],
      configuration: ['/etc/a'],
    },
  ],
  ['credentials', {}, undefined],
  ['fdStoreLimit', {}, undefined],
  ['fdStoreLimit', { FDSTORE: '12' }, 12],
  ['journalStream', {}, undefined],
  ['journalStream', { JOURNAL_STREAM: '9:18446744073709551615' }, { device: 9n, inode: 18446744073709551615n }],
  ['logNamespace', { LOG_NAMESPACE: 'noisy' }, 'noisy'],
  ['managerPid', { MANAGERPID: '1' }, 1],
  ['mainPid', { MAINPID: '4194304' }, 4194304],
  ['pidFile', { PIDFILE: '/run/a.pid' }, '/run/a.pid'],
  ['remote', {}, undefined],
  ['remote', { REMOTE_ADDR: '::1', REMOTE_PORT: '65535' }, { address: '::1', port: 65535 }],
  ['remote', { REMOTE_ADDR: '10.0.0.1' }, { address: '10.0.0.1', port: undefined }],
  ['result', {}, undefined],
  ['result', { SERVICE_RESULT: 'success' }, { result: 'success', code: undefined, status: undefined }],
  [
    'result',
    { SERVICE_RESULT: 'exit-code', EXIT_CODE: 'exited', EXIT_STATUS: '3' },
    { result: 'exit-code', code: 'exited', status: 3 },
  ],
  [
    'result',
    { SERVICE_RESULT: 'core-dump', EXIT_CODE: 'dumped', EXIT_STATUS: 'ABRT' },
    { result: 'core-dump', code: 'dumped', status: 'ABRT' },
  ],
  ['monitored', {}, undefined],
  [
    'monitored',
    {
      MONITOR_UNIT: 'a@b.service',
      MONITOR_INVOCATION_ID: ID,
      MONITOR_SERVICE_RESULT: 'signal',
      MONITOR_EXIT_CODE: 'killed',
      MONITOR_EXIT_STATUS: 'RTMIN+1',
    },
    { unit: 'a@b.service', invocation: ID, result: 'signal', code: 'killed', status: 'RTMIN+1' },
  ],
];

for (const [member, variables, value] of READ) {
  t.test(
    `${member} of ${JSON.stringify(variables)}`,
    leavingNothing((t) => {
      t.strictSame(serviceEnvironment(variables)[member], value);
    }),
  );
}

/** What is malformed, and the member that fails for it. */
const MALFORMED: readonly (readonly [member: Member, variable: string, value: string, beside?: NodeJS.ProcessEnv])[] = [
  ['isMainProcess', 'SYSTEMD_EXEC_PID', '0'],
  ['isMainProcess', 'SYSTEMD_EXEC_PID', '2147483648'],
  ['invocation', 'INVOCATION_ID', '8d45620c-1a43-48db-b174-10da57c60c66'],
  ['trigger', 'TRIGGER_UNIT', 'a/b'],
  ['trigger', 'TRIGGER_PATH', 'new', { TRIGGER_UNIT: 'a.path' }],
  ['trigger', 'TRIGGER_TIMER_REALTIME_USEC', '-1', { TRIGGER_UNIT: 'a.timer' }],
  ['directories', 'STATE_DIRECTORY', '/var/lib/a:b'],
  ['directories', 'CACHE_DIRECTORY', ''],
  ['credentials', 'CREDENTIALS_DIRECTORY', 'credentials'],
  ['fdStoreLimit', 'FDSTORE', 'many'],
  ['journalStream', 'JOURNAL_STREAM', '9'],
  ['logNamespace', 'LOG_NAMESPACE', ''],
  ['mainPid', 'MAINPID', ' 1'],
  ['pidFile', 'PIDFILE', 'a.pid'],
  ['remote', 'REMOTE_PORT', '65536', { REMOTE_ADDR: '::1' }],
  ['result', 'SERVICE_RESULT', 'Exit Code'],
  ['result', 'EXIT_CODE', 'gone', { SERVICE_RESULT: 'signal' }],
  ['result', 'EXIT_STATUS', '-1', { SERVICE_RESULT: 'signal' }],
  ['monitored', 'MONITOR_INVOCATION_ID', '1', { MONITOR_UNIT: 'a.service', MONITOR_SERVICE_RESULT: 'signal' }],
];

for (const [member, variable, value, beside] of MALFORMED) {
  t.test(
    `${variable}='${value}' is an error for who looks at ${member}, and for nobody else`,
    leavingNothing((t) => {
      const environment = serviceEnvironment({ ...beside, [variable]: value });
      t.throws(() => environment[member], { name: 'EnvironmentError', variable, value });
      const others = MALFORMED.map(([other]) => other).filter((other) => other !== member);
      for (const other of others) t.doesNotThrow(() => environment[other]);
    }),
  );
}

t.test(
  'a MONITOR_UNIT of which nothing else is told is an error',
  leavingNothing((t) => {
    t.throws(() => serviceEnvironment({ MONITOR_UNIT: 'a.service' }).monitored, EnvironmentError);
  }),
);

t.test(
  'booted says what sd_booted(3) looks at',
  leavingNothing((t) => {
    t.equal(serviceEnvironment().booted, existsSync('/run/systemd/system'));
  }),
);

const libsystemd = runProgram('sh', ['-c', 'ldconfig -p | grep -q libsystemd.so.0']).exit.status === 0;
const needsBoth = libsystemd ? needsCgroups : { skip: 'there is no libsystemd' };

const top = `sdrxtest${process.pid}.slice`;
const GROUPS = [
  '',
  'a.service',
  'a.service/delegated/b.service',
  'a-b.slice/c@d.service',
  'a-b.slice/a-b-c.slice/e.scope',
  'user-1000.slice/session-c2.scope',
  'user-1000.slice/user@1000.service/app.slice/f.service/inner',
  'user-1000.slice/user@1000.service/init.scope',
  'user-1000.slice/user@1000.service',
  '_g.service',
  'nothing',
  'nothing/a.service',
  'bad name.service',
  'h.socket',
];

const program = programPath('programs/tell-unit.js', import.meta.url);

/** Asks libsystemd the same of its own process. */
const ASK = `
import ctypes, json
systemd = ctypes.CDLL('libsystemd.so.0')
def ask(name):
    text = ctypes.c_char_p()
    return text.value.decode() if getattr(systemd, name)(0, ctypes.byref(text)) >= 0 else None
print(json.dumps([ask('sd_pid_get_' + what) for what in ('unit', 'user_unit', 'slice', 'session')]))`;

for (const group of GROUPS) {
  t.test(`the unit of a process in ${top}/${group} is the one that libsystemd tells`, needsBoth, (t) => {
    const path = `${cgroupRoot}/${top}/${group}`.replace(/\/$/, '');
    mkdirSync(path, { recursive: true });
    t.teardown(() => {
      for (let made = path; made !== cgroupRoot; made = dirname(made)) rmdirSync(made);
    });
    const script = 'echo $$ >"$0/cgroup.procs" && python3 -c "$1" && shift && exec "$@"';
    const { output } = runProgram('sh', ['-c', script, path, ASK, process.execPath, program]);
    const [theirs, ours] = output.trim().split('\n');
    t.strictSame(JSON.parse(ours ?? ''), JSON.parse(theirs ?? ''));
    t.end();
  });
}

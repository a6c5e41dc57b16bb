import t from 'tap';
import { programPath } from '../support/program-path.js';
import { type JournalctlEntry, journalOf, needsJournald } from '../support/real-journal.js';

const program = programPath('programs/log-to-journald.js', import.meta.url);

/** As systemd has it for a service whose standard error is the journal's. systemd-cat(1) does not say it in all releases. */
const AS_SERVICE = [
  ...['systemd-cat', 'sh', '-c'],
  'JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)"; export JOURNAL_STREAM; exec "$@"',
  'sh',
];

const AS: Readonly<Record<string, readonly string[]>> = {
  root: [],
  'a user who may do nothing': ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'],
};

for (const [who, prefix] of Object.entries(AS)) {
  t.test(`systemd's journal has all that ${who} logs, field by field`, needsJournald, (t) => {
    const entries = journalOf([...AS_SERVICE, ...prefix, process.execPath, program]);
    const find = (message: string) => entries.find(({ MESSAGE }) => MESSAGE === message) ?? {};
    const short: JournalctlEntry = find('short');
    const MESSAGE_ID = '8d45620c1a4348dbb17410da57c60c66';
    t.match(short, { PRIORITY: '5', MESSAGE_ID, SYSLOG_IDENTIFIER: 'log-to-journald', _TRANSPORT: 'journal' });
    t.same(short.WHO, ['you', 'me']);
    t.match(find('two\nlines'), { PRIORITY: '6', DOOR: 'front', BYTES: [0, 1, 0xff], _PID: short._PID });
    t.match(find('failed: no space'), { PRIORITY: '3', ERRNO: '28', ERROR_CODE: 'ENOSPC', ERROR_SYSCALL: 'write' });
    t.match(find('failed: no space').ERROR_STACK, /^Error: no space\n +at /);
    t.equal(find('long').LONG, 'line\n'.repeat(500_000));
    t.match(find('raw'), { PRIORITY: '7', _TRANSPORT: 'journal' });
    t.end();
  });
}

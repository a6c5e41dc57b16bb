import { readFileSync } from 'node:fs';
import { MESSAGE_IDS } from '@sdrx/daemon';
import t from 'tap';
import { nsresourced } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { journalOf, needsJournald } from '../support/real-journal.js';

const idOf = (kind: keyof typeof MESSAGE_IDS) => MESSAGE_IDS[kind].replaceAll('-', '');

/**
 * Runs the daemon with a standard error that is the journal's, as systemd does, until the journal has it that a worker died; and has
 * it end. Who has not been told yet what to do is no worker yet.
 */
const SCRIPT = `
JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)"; export JOURNAL_STREAM
id=$0; "$@" & daemon=$!
until worker=$(pgrep -P $daemon -f 'nsresourcework --runtime') && kill -ABRT $worker; do kill -0 $daemon || exit 1; sleep 0.05; done
until journalctl --directory=/run/log/journal --output=cat MESSAGE_ID=$id | grep -q worker; do kill -0 $daemon || exit 1; sleep 0.05; done
kill $daemon; wait $daemon`;

t.test("systemd's journal has what the daemon says, by its id and with what it is about", needsJournald, (t) => {
  using folder = new Folder();
  const daemon = [process.execPath, nsresourced, `--runtime-directory=${folder.path}`, '--userns-restrict=off'];
  const entries = journalOf(['systemd-cat', 'sh', '-c', SCRIPT, idOf('workerFailed'), ...daemon]);
  const died = entries.find(({ MESSAGE_ID }) => MESSAGE_ID === idOf('workerFailed')) ?? {};
  const fields = {
    PRIORITY: '4',
    SYSLOG_IDENTIFIER: 'nsresourced',
    EXIT_CODE: /^(killed|dumped)$/,
    EXIT_STATUS: 'ABRT',
  };
  t.match(died, fields);
  t.equal(
    died.MESSAGE,
    `worker ${died.WORKER_PID} ${died.EXIT_CODE === 'dumped' ? 'died of SIGABRT and dumped core' : 'was killed by SIGABRT'}`,
  );
  t.equal(died._TRANSPORT, 'journal');
  t.end();
});

t.test('each kind of message has an id of its own, and docs/daemon.md has them all', (t) => {
  const page = readFileSync(programPath('../../../docs/daemon.md', import.meta.url), 'utf8');
  const listed = [...page.matchAll(/^\| `([0-9a-f]{32})` \|/gm)].map(([, id]) => id);
  const ids = Object.values(MESSAGE_IDS);
  for (const id of ids) t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  t.strictSame([...listed].sort(), ids.map((id) => id.replaceAll('-', '')).sort());
  t.equal(new Set(ids).size, ids.length);
  t.end();
});

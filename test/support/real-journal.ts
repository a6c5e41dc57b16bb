import { existsSync, readFileSync } from 'node:fs';
import { Folder } from './folder.js';
import { needsRoot } from './privileges.js';
import { runProgram } from './run-program.js';

const JOURNALD = '/usr/lib/systemd/systemd-journald';

/** Options for a test that starts systemd's journal, beside whatever journal the machine has. */
export const needsJournald = existsSync(JOURNALD) ? needsRoot : { skip: `there is no ${JOURNALD}` };

/**
 * A journal in a mount namespace of its own, with a /run of its own, which is there while the command runs, in a shell. What it has
 * is written to the first argument; the rest is the command.
 */
const SCRIPT = `
result=$0
mount -t tmpfs tmpfs /run && mkdir -p /run/log/journal /run/systemd/journal /run/systemd/journald.conf.d || exit 99
echo 0123456789abcdef0123456789abcdef >/run/machine-id && mount --bind /run/machine-id /etc/machine-id || exit 99
printf '[Journal]\\nStorage=volatile\\nReadKMsg=no\\nAudit=no\\nRateLimitBurst=0\\nForwardToWall=no\\n' \\
  >/run/systemd/journald.conf.d/test.conf
${JOURNALD} & journal=$!
until [ -S /run/systemd/journal/io.systemd.journal ]; do kill -0 $journal || exit 98; done
"$@"; status=$?
journalctl --sync && journalctl --directory=/run/log/journal --all --output=json >"$result"
kill $journal; wait $journal
exit $status`;

/** An entry as `journalctl -o json` has it: bytes that are no text as numbers, a field that comes several times as an array. */
export type JournalctlEntry = Readonly<Record<string, string | readonly number[] | readonly string[]>>;

/** Runs a command beside a journal of systemd's, to its end. @returns what is in the journal then */
export function journalOf(command: readonly string[], env: NodeJS.ProcessEnv = {}): JournalctlEntry[] {
  using folder = new Folder();
  const result = folder.join('journal');
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', SCRIPT, result, ...command];
  const { exit } = runProgram('unshare', args, { env: { ...process.env, ...env } });
  if (exit.status !== 0) throw new Error(`the command, or the journal, ended with ${exit.code} ${exit.status}`);
  const lines = readFileSync(result, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/**
 * Prints what the journal has of some units, or of all, and what is logged from then on, without libsystemd:
 *
 *     node examples/dist/journal-follow.js ssh.service
 *     node examples/dist/journal-follow.js --lines=20 --journal=ssh-unix:host:/run/systemd/io.systemd.JournalAccess
 *
 * Needs systemd 262, and to be in the group systemd-journal. Ctrl-C ends it.
 */
import { parseArgs } from 'node:util';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { connect } from '@sdrx/varlink';
import { journalAccess } from './journal-follow/journal-access.js';
import { line } from './journal-follow/line.js';

const { values, positionals: units } = parseArgs({
  allowPositionals: true,
  options: {
    journal: { type: 'string', default: '/run/systemd/io.systemd.JournalAccess' },
    lines: { type: 'string', default: '10' },
  },
});

const loop = new EventLoop();

async function follow(): Promise<void> {
  using client = connect(loop, values.journal);
  const wanted = { ...(units.length > 0 && { units }), limit: Number(values.lines), follow: true };
  for await (const { parameters } of client.replies(journalAccess.methods.GetEntries, wanted)) {
    console.log(line(parameters.entry));
  }
}

follow().then(
  () => loop.exit(0),
  (error: unknown) => {
    // At the end of the loop its clients are closed, which is no failure.
    if (loop.state === 'exiting') return;
    console.error(journalAccess.errors.NoMatches.is(error) ? 'there is no such unit' : String(error));
    loop.exit(1);
  },
);
process.exitCode = await loop.run(exitOnSignal(loop));

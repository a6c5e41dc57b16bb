import { checkDaemon } from './check/daemon.js';
import type { Finding, State } from './check/finding.js';
import { checkKernel } from './check/kernel.js';
import { checkSystem } from './check/system.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';
import { type Style, styled } from './say.js';

const STYLES: Readonly<Record<State, Style>> = { ok: 'green', missing: 'red', absent: 'yellow', unknown: 'dim' };

/** `nsresourcectl check` */
export const check: Command = {
  name: 'check',
  summary: 'Tells what this machine can do, why not, and what to do about it',
  options: ['--json', '--runtime-directory='],
  run(args) {
    const parsed = parseOrHelp(
      {
        program: 'nsresourcectl check',
        summary: `Tells what this machine can do for user namespaces, why not, and what to do about it. Changes nothing.
ok: is there. missing: the daemon, as it comes, needs it. absent: something is not there that one can do without.

Exit status: 0 if nothing is missing, else 1.`,
        options: RUNTIME_DIRECTORY_OPTION,
        flags: { json: 'Print JSON: an array of objects with what, state, detail, remedy' },
      },
      args,
    );
    if (parsed === undefined) return 0;
    const findings = [...checkKernel(), ...checkSystem(), ...checkDaemon(runtimeDirectoryOf(parsed.values))];
    process.stdout.write(parsed.flags.has('json') ? `${JSON.stringify(findings, null, 1)}\n` : report(findings));
    return findings.some(({ state }) => state === 'missing') ? 1 : 0;
  },
};

function report(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ what }) => what.length));
  return findings
    .map(({ what, state, detail, remedy }) => {
      const line = `${styled(process.stdout, STYLES[state], state.padEnd(7))}  ${what.padEnd(width)}  ${detail}\n`;
      return remedy === undefined ? line : `${line}${' '.repeat(width + 11)}→ ${remedy}\n`;
    })
    .join('');
}

import { existsSync } from 'node:fs';
import t from 'tap';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { RunningExample } from './running-example.js';

const needsProgram = existsSync(programPath('../../../examples/dist/forks.bpf.o', import.meta.url))
  ? needsRoot
  : { skip: 'BPF programs are not compiled: clang is missing, the set-up installs it on Debian as root' };

t.test('it tells who starts processes, and counts them', needsProgram, async (t) => {
  const example = new RunningExample(t, 'forks');
  await example.prints('counting');
  // A shell of a name of its own, which starts three processes.
  const script = 'printf sdrx-forks > /proc/$$/comm; for n in 1 2 3; do (:); done';
  runProgram('sh', ['-c', script]);
  await example.prints(/^sdrx-forks \(process \d+\) starts a process$/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
  t.equal(example.lines.filter((line) => line.startsWith('sdrx-forks (process')).length, 3);
  t.ok(example.lines.includes('sdrx-forks 3'));
});

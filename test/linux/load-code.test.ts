import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const program = programPath('./programs/memfd-noexec.js', import.meta.url);

const skip = process.getuid?.() === 0 ? false : 'only root can have a PID namespace with a sysctl of its own';

t.test('processes start and signals arrive where files in memory may not be executed', { skip }, (t) => {
  const { output, exit } = runNode([program], ['unshare', '--pid', '--fork', '--mount-proc']);
  t.equal(output, 'child signal\n');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});

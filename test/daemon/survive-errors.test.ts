import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

t.test('a system call that failed for one client ends nothing, a mistake of the program does, in order', async (t) => {
  const program = programPath('error-survivor.js', import.meta.url);
  const { output, exit } = runNode([program], ['sh', '-c', 'exec "$@" 2>&1', 'sh']);
  const lines = output.trim().split('\n');
  t.match(lines[0], /^survivor\[\d+\]: unexpected error: ENOSPC: .*, epoll_ctl '7'$/);
  t.equal(lines[1], 'goes on');
  t.match(lines[2], /^survivor\[\d+\]: error in the program, no more clients are served: TypeError: a mistake +at /);
  t.strictSame(lines.slice(3), ['to end', 'end']);
  t.match(exit, { code: 'exited', status: 0 });
});

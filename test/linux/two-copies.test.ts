import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const packageFolder = programPath('../../../packages/linux', import.meta.url);

t.test('a process may hold two copies of the package, as of two versions', (t) => {
  // Types have names in koffi, of which it is one for both.
  const program = `
    import * as one from '${packageFolder}/lib/index.js';
    import * as other from '${packageFolder}/dist/index.js';
    for (const { spawn, SignalFd, pollNow, waitPid, WEXITED } of [one, other]) {
      const child = spawn('true');
      console.log(waitPid(child.pid, WEXITED).status);
      child[Symbol.dispose]();
    }`;
  const { output, exit } = runNode(['--input-type=module', '--eval', program]);
  t.equal(output, '0\n0\n');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});

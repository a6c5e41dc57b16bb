/**
 * Keeps a program running: one that fails is started again, up to five times and each time later. Its good end is ours.
 *
 *     node examples/dist/restart.js sh -c 'sleep 1; exit 3'
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import { catchError, defer, merge, of, retry, tap } from 'rxjs';

const loop = new EventLoop();
const [program = 'false', ...args] = process.argv.slice(2);

/** A run of the program, which does not outlive its subscription. */
const run = defer(() => {
  const child = spawn(program, { args });
  console.log(`started as process ${child.pid}`);
  return loop.child(child, { own: true });
}).pipe(
  tap(({ code, status }) => {
    if (code !== 'exited' || status !== 0) throw new Error(`${code}, status ${status}`);
  }),
);
const supervised = run.pipe(
  tap({ error: ({ message }) => console.log(message), complete: () => loop.exit() }),
  retry({ count: 5, delay: (_, failures) => loop.time({ after: 50 * 2 ** failures }) }),
  catchError(() => of(loop.exit(1))),
);
process.exitCode = await loop.run(merge(exitOnSignal(loop), supervised));

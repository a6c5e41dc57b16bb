/**
 * Keeps a number of workers running, under one limit of starts, and tells what becomes of each.
 *
 *     node examples/dist/supervisor.js [--workers=N] [--limit=STARTS/SECONDS] -- COMMAND ARGS…
 *
 * supervisor/README.md has more.
 */
import { parseArgs } from 'node:util';
import { describeSupervision, EventLoop, notify, StartLimit, supervise } from '@sdrx/event';
import { merge, Subject, take, tap } from 'rxjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { workers: { type: 'string', default: '2' }, limit: { type: 'string', default: '20/10' } },
});
const [file, ...args] = positionals;
if (file === undefined) throw new TypeError('the command line must end with -- COMMAND ARGS…');
const [starts, seconds] = values.limit.split('/').map(Number);

const loop = new EventLoop();
const limit = new StartLimit({ starts: starts ?? 0, interval: (seconds ?? 0) * 1000 });
const gaveUp = new Subject<void>();
const on = merge(loop.signal('SIGTERM'), loop.signal('SIGINT'), gaveUp.pipe(take(1)));
let status = 0;

const workers = Array.from({ length: Number(values.workers) }, (_, index) =>
  supervise(loop, { file, args, parentDeathSignal: 'SIGTERM' }, { limit, stop: { on } }).pipe(
    tap((event) => {
      const pid = 'pid' in event && event.pid !== undefined ? ` (${event.pid})` : '';
      console.log(`worker ${index + 1}${pid} ${describeSupervision(event)}`);
      if (event.type !== 'gave-up') return;
      status = 1;
      gaveUp.next();
    }),
  ),
);
const pool = merge(...workers).pipe(tap({ complete: () => loop.exit(status) }));
const finished = loop.run(merge(on.pipe(tap(() => notify({ STOPPING: 1 }))), pool));
notify({ READY: 1 });
process.exitCode = await finished;

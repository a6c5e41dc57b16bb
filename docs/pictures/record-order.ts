import { EventLoop, trace } from '@sdrx/event';
import { pipe, read, write } from '@sdrx/linux';
import { merge, type Observable, take, tap } from 'rxjs';
import { busy } from './busy.js';
import type { Moment, Recording } from './recording.js';

/** How long each handler takes, in milliseconds. */
const WORK = 4;

/**
 * Runs a loop with a source of each way to have one's turn, all of which are ready at once. The handler of `requests` makes
 * `urgent` ready, which has a higher priority.
 */
export async function recordOrder(): Promise<Recording> {
  // Compiled by now, it takes no longer the first time.
  busy(20);
  const loop = new EventLoop();
  const dispatches: Recording['dispatches'][number][] = [];
  const moments: Moment[] = [];
  const byte = Buffer.from('.');
  const makePipe = () => {
    const [reader, writer] = pipe();
    return {
      reader,
      writer,
      fill: () => write(writer.number, byte),
      empty: () => read(reader.number, Buffer.alloc(1)),
    };
  };
  const pipes = { requests: makePipe(), answers: makePipe(), urgent: makePipe() };
  const io = (description: keyof typeof pipes, priority: number) =>
    loop.io(pipes[description].reader.number, { description, priority }).pipe(tap(() => pipes[description].empty()));
  const working = (source: Observable<unknown>, also: () => void = () => {}) =>
    source.pipe(
      tap(() => {
        busy(WORK);
        also();
      }),
    );
  trace(loop).subscribe((dispatch) => dispatches.push(dispatch));
  const prepare = () => moments.push({ at: loop.now(), what: 'prepare' });
  const finished = loop.run(
    merge(
      working(loop.signal('SIGUSR2', { priority: -10, description: 'reload', prepare })),
      working(io('requests', 0), () => pipes.urgent.fill()),
      working(io('answers', 0)),
      working(io('urgent', -5)),
      working(loop.defer({ priority: 5, description: 'tidy up' })),
      working(loop.post({ priority: 10, description: 'save' }).pipe(take(1)), () => loop.exit()),
      working(loop.exiting({ priority: -1, description: 'say goodbye' })),
      working(loop.exiting({ priority: 1, description: 'close the log' })),
    ),
  );
  process.kill(process.pid, 'SIGUSR2');
  pipes.requests.fill();
  pipes.answers.fill();
  await finished;
  for (const { reader, writer } of Object.values(pipes)) for (const fd of [reader, writer]) fd.close();
  return { dispatches, moments };
}

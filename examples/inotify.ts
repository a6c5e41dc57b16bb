/**
 * Rereads a configuration file whenever it changes. Editors and careful programs write a new file and rename it, so that
 * nobody reads half of one: who watched the file itself would go on watching the old one. Hence the folder is watched.
 *
 *     node examples/dist/inotify.js /tmp/service.json
 */
import { readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { IN_CLOSE_WRITE, IN_MOVED_TO, IN_Q_OVERFLOW } from '@sdrx/linux';
import { filter, merge, tap } from 'rxjs';

const loop = new EventLoop();
const path = process.argv[2] ?? '/tmp/service.json';

function load(): void {
  try {
    console.log('configuration:', JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    console.log(`the old configuration stays: ${error}`);
  }
}

const changes = loop.inotify(dirname(path), { mask: IN_CLOSE_WRITE | IN_MOVED_TO }).pipe(
  filter(({ name, mask }) => name === basename(path) || (mask & IN_Q_OVERFLOW) !== 0),
  tap(load),
);
const finished = loop.run(merge(exitOnSignal(loop), changes));
load();
process.exitCode = await finished;

/**
 * Rereads a configuration file whenever it changes. Editors and careful programs write a new file and rename it, so that
 * nobody reads half of one: who watched the file itself would go on watching the old one. `watchFile` watches the folders, too.
 *
 *     node examples/dist/inotify.js /tmp/service.json
 */
import { readFileSync } from 'node:fs';
import { EventLoop, exitOnSignal, watchFile } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const path = process.argv[2] ?? '/tmp/service.json';

function load(): void {
  try {
    console.log('configuration:', JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    console.log(`the old configuration stays: ${error}`);
  }
}

const changes = watchFile(loop, path, { immediately: true }).pipe(tap(load));
process.exitCode = await loop.run(merge(exitOnSignal(loop), changes));

// Adds the last of `width` sources and removes it, again and again.
import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { rounds, spread, task } from '../meter.js';

const HOUR = 3_600_000;

const { work, events, width } = task();
using loop = new EventLoop();
const first = new EventFd();
const others: EventFd[] = [];

const kinds: Record<string, (index: number) => Observable<unknown>> = {
  'add-defer': () => loop.defer(),
  'add-time': (index) => loop.time({ after: HOUR + spread(index) }),
  'add-io': () => loop.io(first.fd),
};
const kind = kinds[work];
if (kind === undefined) throw new Error(`no work is called ${work}`);

for (let index = 1; index < width; index++) {
  if (work === 'add-io') {
    const other = new EventFd();
    others.push(other);
    loop.io(other.fd).subscribe();
  } else {
    kind(index).subscribe();
  }
}

await rounds(events, (count) => {
  for (let index = 0; index < count; index++) kind(index).subscribe().unsubscribe();
});

// Takes the registry's lock for registry-lock.test.ts.
import { closeSync, openSync, rmSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { lastValueFrom, tap } from 'rxjs';

const [, , what = '', directory = ''] = process.argv;
const registry = Registry.open(directory);

/** A file that only one can make at a time. */
function alone(): void {
  closeSync(openSync(`${directory}/held`, 'wx'));
  rmSync(`${directory}/held`);
}

if (what === 'hold') {
  const lock = registry.lock();
  process.on('message', () => {
    lock[Symbol.dispose]();
    process.disconnect();
  });
  process.send?.('held');
} else {
  const loop = new EventLoop();
  const running = loop.run();
  let count = 0;
  while (count < 40) {
    await lastValueFrom(registry.acquire(loop, { limit: 60_000 }).pipe(tap(alone)));
    count++;
  }
  loop.exit();
  await running;
  process.send?.(count);
  process.disconnect();
}

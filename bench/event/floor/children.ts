// The system calls alone, one after the other by koffi, and no loop: posix_spawn(3), pidfd_open(2), epoll and waitid(2).
import { addressOf, allocate, type Fd, libc, pidfdOpen, WEXITED } from '@sdrx/linux';
import { meter, task } from '../meter.js';
import { watch, whenReady } from './ready.js';

const P_PIDFD = 3;
const CLD_EXITED = 1;

const posixSpawn = libc<
  (pid: Uint8Array, path: string, actions: null, attributes: null, args: Uint8Array, environment: Uint8Array) => number
>('int posix_spawn(void *, const char *, void *, void *, void *, void *)');
const waitid = libc<(type: number, id: number, info: Uint8Array, options: number) => number>(
  'int waitid(int, uint, void *, int)',
);

const { events, width } = task();
let isDone = false;
const tick = meter(events, () => {
  isDone = true;
});

const variables = Object.entries(process.env).map(([name, value]) => text(`${name}=${value}`));
const [args, environment] = [pointers([text('true')]), pointers(variables)];
const pid = allocate(4);
const info = allocate(128);
const pidfds = new Map<number, Fd>();

for (let index = 0; index < width; index++) spawnTrue();
while (!isDone) {
  whenReady((pidfd) => {
    waitid(P_PIDFD, pidfd, info, WEXITED);
    pidfds.get(pidfd)?.close();
    pidfds.delete(pidfd);
    if (info.readInt32LE(8) !== CLD_EXITED || info.readInt32LE(24) !== 0) throw new Error('/bin/true has failed');
    spawnTrue();
    tick();
  });
}

function spawnTrue(): void {
  if (posixSpawn(pid, '/bin/true', null, null, args, environment) !== 0) throw new Error('posix_spawn has failed');
  const pidfd = pidfdOpen(pid.readInt32LE());
  pidfds.set(pidfd.number, pidfd);
  watch(pidfd.number, pidfd.number);
}

/** A C string. */
function text(value: string): Buffer {
  const bytes = allocate(Buffer.byteLength(value) + 1);
  bytes.write(value);
  return bytes;
}

/** A list of pointers that a null pointer ends. What they lead to has to last as long. */
function pointers(texts: readonly Buffer[]): Buffer {
  const list = allocate(8 * (texts.length + 1));
  for (const [index, each] of texts.entries()) list.writeBigUInt64LE(addressOf(each), 8 * index);
  return list;
}

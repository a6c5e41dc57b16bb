/**
 * Tells which programs start processes, as they do, and at the end how many each has started: a BPF program in the kernel
 * counts them in a map and tells of each through a ring buffer. Needs root, and libbpf; clang to be built.
 *
 *     node examples/dist/forks.js
 */
import { fileURLToPath } from 'node:url';
import { BpfObject } from '@sdrx/bpf';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
using forks = BpfObject.load(fileURLToPath(new URL('forks.bpf.o', import.meta.url)));
forks.attachAll();

const text = (bytes: Buffer) => bytes.toString('utf8', 0, bytes.indexOf(0));

// Each record is a view of memory shared with the kernel, and only good for now.
const started = forks
  .ringBuffer('started')
  .records(loop)
  .pipe(
    tap((record) => console.log(`${text(record.subarray(4))} (process ${record.readUInt32LE()}) starts a process`)),
  );

const finished = loop.run(merge(exitOnSignal(loop), started));
console.log('counting');
process.exitCode = await finished;
for (const [program, count] of forks.map('counts').entries())
  console.log(`${text(program)} ${count.readBigUInt64LE()}`);

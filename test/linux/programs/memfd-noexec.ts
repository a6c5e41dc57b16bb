import { writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import { merge, tap } from 'rxjs';

// In a PID namespace of its own it forbids that files in memory are executed, and does what machine code is needed for.
writeFileSync('/proc/sys/vm/memfd_noexec', '2');
const loop = new EventLoop();
const child = spawn('true');
const done = new Set<string>();
const tell = (what: string) => {
  done.add(what);
  if (done.size === 2) loop.exit();
};
process.exitCode = await loop.run(
  merge(
    loop.signal('SIGUSR2').pipe(tap(() => tell('signal'))),
    loop.child(child, { own: true }).pipe(tap(() => tell('child'))),
    loop.defer().pipe(tap(() => process.kill(process.pid, 'SIGUSR2'))),
  ),
);
console.log([...done].sort().join(' '));

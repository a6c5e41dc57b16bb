// Starts a program that gets a signal when its parent dies, prints its id, and waits to be killed. With an argument a worker thread
// starts it, which ends then; this process goes on.
import { isMainThread, Worker } from 'node:worker_threads';
import { spawn } from '@sdrx/linux';

function start(): void {
  const { pid } = spawn('sleep', { args: ['1000'], fds: [null, null, null], parentDeathSignal: 'SIGUSR1' });
  process.stdout.write(`${pid}\n`);
}

if (process.argv[2] === undefined || !isMainThread) start();
else new Worker(new URL(import.meta.url), { argv: ['thread'] });
if (isMainThread) setInterval(() => undefined, 1000);

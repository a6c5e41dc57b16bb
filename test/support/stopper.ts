// Stops the children of a process, as who owns the namespaces that they are in, over and over. For `Stopper`.
import { readFileSync } from 'node:fs';

const [, , launcher = ''] = process.argv;

function stopAll(): void {
  for (const pid of readFileSync(`/proc/${launcher}/task/${launcher}/children`, 'ascii').split(' ').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGSTOP');
    } catch {
      // Not inside yet, or gone.
    }
  }
  setImmediate(stopAll);
}

stopAll();
process.stdout.write('runs\n');

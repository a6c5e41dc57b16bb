import { createInterface } from 'node:readline';
import { HandlerFailure, Scenario } from './scenario.js';

/**
 * Interprets scenarios (scenarios/README.md) on loops of ours, as sd-event.c does with libsystemd's: reads one after the
 * other from standard input, and answers each with its trace.
 */
process.on('uncaughtException', (error) => {
  // It is where a handler's error surfaces.
  if (!(error instanceof HandlerFailure)) throw error;
});

const write = (line: string): void => {
  // At once, so that something is to be seen of a scenario that hangs.
  process.stdout.write(`${line}\n`);
};
let lines: string[] = [];
for await (const line of createInterface(process.stdin)) {
  if (line !== 'end') {
    lines.push(line);
    continue;
  }
  await new Scenario(lines.join('\n'), write).run();
  write('end');
  lines = [];
}

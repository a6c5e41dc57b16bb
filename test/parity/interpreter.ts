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

let lines: string[] = [];
for await (const line of createInterface(process.stdin)) {
  if (line !== 'end') {
    lines.push(line);
    continue;
  }
  const trace = await new Scenario(lines.join('\n')).run();
  lines = [];
  process.stdout.write([...trace, 'end', ''].join('\n'));
}

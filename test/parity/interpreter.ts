import { createInterface } from 'node:readline';
import { LinuxWorld } from './linux-world.js';
import { HandlerFailure, Scenario } from './scenario.js';
import { VirtualWorld } from './virtual-world.js';
import type { World } from './world.js';

/**
 * Interprets scenarios (scenarios/README.md) on loops of ours, as sd-event.c does with libsystemd's: reads one after the
 * other from standard input, and answers each with its trace. With the argument `virtual` the loops are in virtual worlds.
 */
process.on('uncaughtException', (error) => {
  // It is where a handler's error surfaces.
  if (!(error instanceof HandlerFailure)) throw error;
});

const world = (trace: (line: string) => void): World =>
  process.argv[2] === 'virtual' ? new VirtualWorld(trace) : new LinuxWorld(trace);

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
  await new Scenario(lines.join('\n'), world, write).run();
  write('end');
  lines = [];
}

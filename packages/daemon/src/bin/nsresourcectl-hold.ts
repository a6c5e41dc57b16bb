import { writeSync } from 'node:fs';
import { prepareCommand } from '../control/prepare-command.js';

// No stream of Node's: to make one takes longer than to write.
try {
  writeSync(1, prepareCommand(process.argv.slice(2), process.env));
} catch (error) {
  writeSync(2, `nsresourcectl: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 125;
}

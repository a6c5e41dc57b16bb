import { parseArgs } from 'node:util';
import { machines } from './machines/machines.js';
import { testInMachines } from './machines/test-in-machines.js';
import { setup } from './setup.js';
import { UserError } from './support/user-error.js';
import { describeFailures, summary } from './tests/results.js';

function commandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { machine: { type: 'string', multiple: true, default: [] }, limit: { type: 'string' } },
    });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** `npm run test:vm -- [--machine=NAME...] [--limit=SECONDS] [part of a test's path...]` */
export async function main(args: readonly string[]): Promise<void> {
  const { values, positionals } = commandLine(args);
  for (const name of values.machine) {
    if (machines.every((machine) => machine.name !== name))
      throw new UserError(`no machine has the name ${name}; there are ${machines.map(({ name }) => name).join(', ')}`);
  }
  const limit = values.limit === undefined ? undefined : Number(values.limit);
  // Ninety seconds of it are for the machine itself.
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 120 && limit <= 100_000))
    throw new UserError(`--limit=${values.limit} is no number of seconds from 120 to 100000`);
  await setup();
  const filters = positionals.map((arg) => arg.replace(/^\.\//, ''));
  const results = await testInMachines(filters, { names: values.machine, limit });
  if (results.length === 0 && filters.length > 0)
    throw new UserError(`no test for a machine has a path with ${filters.join(' or ')}`);
  process.stdout.write(describeFailures(results));
  process.stdout.write(`\n${summary(results)}\n`);
  if (results.some(({ outcome }) => outcome === 'failed')) process.exitCode = 1;
}

import { parseArgs } from 'node:util';
import { machines } from './machines/machines.js';
import { testInMachines } from './machines/test-in-machines.js';
import { setup } from './setup.js';
import { UserError } from './support/user-error.js';
import { buildTap } from './tests/build-tap.js';
import { createReport } from './tests/report.js';
import { hasFailed } from './tests/results.js';
import { wantedTests } from './tests/wanted-tests.js';

function commandLine(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        machine: { type: 'string', multiple: true, default: [] },
        limit: { type: 'string' },
        emulate: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}

/** `npm run test:vm -- [--machine=NAME...] [--limit=SECONDS] [--emulate] [part of a test's path...]` */
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
  await buildTap();
  const filters = positionals.map((arg) => arg.replace(/^\.\//, ''));
  if (filters.length > 0 && wantedTests(filters).every((path) => machines.every(({ tests }) => !tests.test(path))))
    throw new UserError(`no test for a machine has a path with ${filters.join(' or ')}`);
  const report = createReport(1);
  try {
    await testInMachines(filters, report, { names: values.machine, limit, emulateAll: values.emulate });
  } finally {
    if (hasFailed(report.finish())) process.exitCode = 1;
  }
}

import { resolve } from 'node:path';
import { LIMIT_OPTIONS, limitsOf, Slot } from '../limits/limit-options.js';
import { RESTRICTIONS } from '../namespace/restriction.js';
import { ORDERS_OPTION } from '../pool/worker-command.js';
import { oneOf, Path, parseCommandLine } from '../program/command-line.js';
import { Log } from '../program/log.js';
import { configureLog } from '../program/log-environment.js';
import { discardCode, keepSmall } from '../program/memory.js';
import { runProgram } from '../program/program.js';
import { RUNTIME_DIRECTORY } from '../program/runtime-directory.js';
import { takeOrders } from '../worker/orders.js';
import { runWorker } from '../worker/worker.js';
import { workerEnvironment } from '../worker/worker-environment.js';

const log = new Log('nsresourcework');

keepSmall();
discardCode();
void runProgram(log, () => {
  const [, , ...given] = process.argv;
  const args = given[0] === ORDERS_OPTION ? takeOrders() : given;
  if (args === undefined) return 0;
  const parsed = parseCommandLine(
    {
      program: 'nsresourcework',
      summary: 'Serves the connections of nsresourced, which starts it. Not to be called by hand.',
      options: {
        'runtime-directory': { value: 'DIR', codec: Path, description: `Where the registry is (${RUNTIME_DIRECTORY})` },
        'userns-restrict': {
          value: 'require|off',
          codec: oneOf(RESTRICTIONS),
          description: 'As of nsresourced (require)',
        },
        slot: { value: 'N', codec: Slot, description: 'Which slot of the ledger is its own (none)' },
        ...LIMIT_OPTIONS,
      },
    },
    args,
  );
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  configureLog(log);
  const {
    'runtime-directory': directory = RUNTIME_DIRECTORY,
    'userns-restrict': restriction = 'require',
    slot,
    ...others
  } = parsed.values;
  return runWorker({
    runtimeDirectory: resolve(directory),
    restriction,
    slot,
    limits: limitsOf(others),
    ...workerEnvironment(process.env),
    log,
  });
});

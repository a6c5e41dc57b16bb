// biome-ignore assist/source/organizeImports: this one comes first, so that a worker is loaded at the same time as what follows.
import { early } from '../pool/begin-early.js';
import { join, resolve } from 'node:path';
import { systemBusAddresses } from '../dbus/bus-address.js';
import { LIMIT_OPTIONS, limitsOf } from '../limits/limit-options.js';
import { runManager } from '../manager/manager.js';
import { METRICS_MODE, MetricsAddress, Mode } from '../metrics/metrics-options.js';
import { RESTRICTIONS } from '../namespace/restriction.js';
import { workerCommand } from '../pool/worker-program.js';
import { oneOf, Path, parseCommandLine } from '../program/command-line.js';
import { Log } from '../program/log.js';
import { configureLog } from '../program/log-environment.js';
import { discardCode } from '../program/memory.js';
import { runProgram } from '../program/program.js';
import { RUNTIME_DIRECTORY } from '../program/runtime-directory.js';

const log = new Log('nsresourced');

discardCode();
void runProgram(log, () => {
  const parsed = parseCommandLine(
    {
      program: 'nsresourced',
      summary:
        'Gives user namespaces ranges of transient ids, by the API of systemd-nsresourced(8).\n' +
        'Serves the socket passed by LISTEN_FDS, or else one of its own.',
      options: {
        'runtime-directory': {
          value: 'DIR',
          codec: Path,
          description: `Where socket, userdb link and registry are (${RUNTIME_DIRECTORY})`,
        },
        listen: {
          value: 'PATH',
          codec: Path,
          description:
            'Where to listen (io.systemd.NamespaceResource in the runtime\ndirectory); not when a socket is passed',
        },
        'userns-restrict': {
          value: 'require|off',
          codec: oneOf(RESTRICTIONS),
          description:
            'What to do about the BPF program that keeps namespaces from owning\n' +
            'files on foreign mounts. require: without it the user namespace\n' +
            'interfaces are disabled (the default). off: they work without it',
        },
        worker: {
          value: 'PROGRAM',
          codec: Path,
          description:
            'The program that serves connections (the nsresourcework beside this\none); it gets the socket as descriptor 3',
        },
        metrics: {
          value: 'unix:PATH|tcp:HOST:PORT',
          codec: MetricsAddress,
          description: 'Where Prometheus finds /metrics; HOST is 127.0.0.1 or [::1]',
        },
        report: {
          value: 'PATH',
          codec: Path,
          description:
            'Where systemd-report finds the same by Varlink, such as\n/run/systemd/report/io.systemd.NamespaceResource',
        },
        'metrics-mode': { value: 'MODE', codec: Mode, description: "Of these Unix sockets' paths (0600)" },
        ...LIMIT_OPTIONS,
      },
    },
    process.argv.slice(2),
  );
  if (typeof parsed === 'string') {
    process.stdout.write(parsed);
    return 0;
  }
  configureLog(log);
  const { listen, worker, metrics, report, 'userns-restrict': restriction = 'require', ...given } = parsed.values;
  // Our own workers refuse to work with a wrong one.
  if (worker === undefined) systemBusAddresses(process.env);
  const limits = limitsOf(given);
  const mode = given['metrics-mode'] ?? METRICS_MODE;
  const runtimeDirectory = resolve(given['runtime-directory'] ?? RUNTIME_DIRECTORY);
  return runManager({
    runtimeDirectory,
    restriction,
    listen: listen && resolve(listen),
    worker:
      worker === undefined
        ? workerCommand(join(import.meta.dirname, 'nsresourcework'), runtimeDirectory, restriction, limits)
        : [resolve(worker)],
    foreign: worker !== undefined,
    early,
    limits,
    metrics: metrics && { address: metrics, mode },
    report: report === undefined ? undefined : { path: resolve(report), mode },
    log,
  });
});

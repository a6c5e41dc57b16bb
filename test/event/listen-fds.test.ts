import { constants, existsSync, readlinkSync } from 'node:fs';
import { EnvironmentError, ListenFdsError, type ListenFdsOptions, listenFds, PassedFds } from '@sdrx/event';
import {
  connect,
  type Fd,
  isSystemError,
  O_PATH,
  openFile,
  pipe,
  read,
  SOCK_DGRAM,
  setNonBlocking,
  spawn,
  statusFlags,
  unixSocket,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { Sockets } from './on-loop.js';
import { plainEnvironment } from './run-node.js';

const program = programPath('./programs/take-listen-fds.js', import.meta.url);
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];

interface Taken {
  readonly name: string;
  readonly number: number;
  readonly target: string;
  readonly closedOnExec: boolean;
}

/** What the program in `programs/take-listen-fds.ts` prints. */
interface Outcome {
  readonly first: readonly Taken[] | { readonly variable: string; readonly message: string; readonly reason: string };
  readonly second: unknown;
  readonly left: readonly string[];
}

/**
 * Starts the program as a service manager does: descriptors from 3 on, and the variables.
 * @param variables in which `PID` stands for the program's process id; a LISTEN_PIDFDID of `OWN` for that of its pidfd
 */
function activate(
  variables: Readonly<Record<string, string>>,
  fds: readonly Fd[],
  options: ListenFdsOptions = {},
): Outcome {
  // Only the process itself knows its id before it runs.
  const assignments = Object.entries(variables).map(
    ([name, value]) => `${name}=${value === 'PID' ? '$$' : `'${value}'`}`,
  );
  const script = `export ${assignments.join(' ')}; exec "$0" "$@"`;
  const args = ['-c', script, process.execPath, program, JSON.stringify(options)];
  const { output, exit } = runProgram('sh', args, { env: plainEnvironment, fds: [null, null, 2, ...fds] });
  if (exit.code !== 'exited' || exit.status !== 0) throw new Error(`the program ended by ${exit.code} ${exit.status}`);
  return JSON.parse(output) as Outcome;
}

t.test(
  'takes the descriptors in their order, with their names, close-on-exec from now on',
  leavingNothing((t) => {
    using sockets = new Sockets();
    const variables = { LISTEN_PID: 'PID', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:control', LISTEN_PIDFDID: 'OWN' };
    const { first, second, left } = activate(variables, [sockets.ours, sockets.theirs]);
    const targets = [sockets.ours, sockets.theirs].map(({ number }) => readlinkSync(`/proc/self/fd/${number}`));
    t.strictSame(first, [
      { name: 'web', number: 3, target: targets[0], closedOnExec: true },
      { name: 'control', number: 4, target: targets[1], closedOnExec: true },
    ]);
    t.strictSame(second, [], 'a second call takes nothing');
    t.strictSame(left, [], 'no child takes them again');
  }),
);

t.test(
  'without names each is `unknown`; names may be empty and the same',
  leavingNothing((t) => {
    using sockets = new Sockets();
    const fds = [sockets.ours, sockets.theirs];
    const named = (variables: Record<string, string>) => {
      const { first } = activate({ LISTEN_PID: 'PID', LISTEN_FDS: '2', ...variables }, fds);
      return Array.isArray(first) ? first.map(({ name }: Taken) => name) : first;
    };
    t.strictSame(named({}), ['unknown', 'unknown']);
    t.strictSame(named({ LISTEN_FDNAMES: 'same:same' }), ['same', 'same']);
    t.strictSame(named({ LISTEN_FDNAMES: ':' }), ['', '']);
  }),
);

t.test(
  'sockets are made non-blocking, unless asked not to, and nothing else is',
  leavingNothing((t) => {
    for (const nonBlocking of [undefined, true, false]) {
      using sockets = new Sockets();
      using datagram = unixSocket(SOCK_DGRAM);
      const [reader, writer] = pipe();
      using folder = openFile('/', O_PATH);
      const passed = [sockets.ours, reader, datagram, folder];
      for (const fd of passed.slice(0, 3)) setNonBlocking(fd.number, false);
      const options = nonBlocking === undefined ? {} : { nonBlocking };
      const { first } = activate({ LISTEN_PID: 'PID', LISTEN_FDS: '4' }, passed, options);
      t.match(first, [{ number: 3 }, { number: 4 }, { number: 5 }, { number: 6 }]);
      const isSet = ({ number }: Fd) => (statusFlags(number) & constants.O_NONBLOCK) !== 0;
      const wanted = nonBlocking ?? true;
      t.strictSame(passed.map(isSet), [wanted, false, wanted, false]);
      reader.close();
      writer.close();
    }
  }),
);

t.test('whether this process was activated is told, also when nothing was passed', (t) => {
  const own = `${process.pid}`;
  const activated = (environment: NodeJS.ProcessEnv) => {
    using passed = new PassedFds(environment);
    t.strictSame([passed.all, environment], [[], {}]);
    return passed.activated;
  };
  t.ok(activated({ LISTEN_PID: own, LISTEN_FDS: '0', LISTEN_FDNAMES: '' }));
  t.notOk(activated({}));
  t.notOk(activated({ LISTEN_FDS: '0' }));
  t.notOk(activated({ LISTEN_PID: own }));
  t.notOk(activated({ LISTEN_PID: '1', LISTEN_FDS: '0' }));
  t.notOk(activated({ LISTEN_PID: own, LISTEN_FDS: '0', LISTEN_PIDFDID: '77' }));
  t.end();
});

t.test(
  'takes nothing that was meant for another process',
  leavingNothing((t) => {
    using sockets = new Sockets();
    for (const pid of ['1', `${process.pid}`]) {
      const { first, left } = activate({ LISTEN_PID: pid, LISTEN_FDS: '1' }, [sockets.ours]);
      t.strictSame([first, left], [[], []]);
    }
  }),
);

t.test(
  'takes nothing that was meant for another process that had the same id',
  leavingNothing((t) => {
    using sockets = new Sockets();
    const { first, left } = activate({ LISTEN_PID: 'PID', LISTEN_FDS: '1', LISTEN_PIDFDID: '77' }, [sockets.ours]);
    t.strictSame([first, left], [[], []]);
  }),
);

t.test('one that is told the id of another process is warned', async (t) => {
  const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
  t.strictSame(listenFds({ LISTEN_PID: `${process.pid}`, LISTEN_FDS: '1', LISTEN_PIDFDID: '77' }), []);
  t.match(
    (await warning).message,
    /^LISTEN_FDS is not for this process, though LISTEN_PID is: LISTEN_PIDFDID is 77, ours \d+/,
  );
});

t.test('what is meant for another process may be malformed', (t) => {
  for (const other of [{ LISTEN_PID: '1' }, { LISTEN_PID: `${process.pid}`, LISTEN_PIDFDID: '77' }, {}]) {
    const environment = { ...other, LISTEN_FDS: 'three', LISTEN_FDNAMES: ':::' };
    t.strictSame(listenFds(environment), []);
    t.strictSame(environment, {});
  }
  t.strictSame(listenFds({ LISTEN_PID: '1', LISTEN_FDS: '1', LISTEN_PIDFDID: 'mine' }), []);
  t.end();
});

t.test('a malformed LISTEN_PIDFDID is an error', (t) => {
  for (const value of ['', '-1', ' 1', '0x1', '18446744073709551616', 'mine']) {
    const environment = { LISTEN_PID: `${process.pid}`, LISTEN_FDS: '1', LISTEN_PIDFDID: value };
    t.throws(() => listenFds(environment), {
      name: 'EnvironmentError',
      variable: 'LISTEN_PIDFDID',
      value,
      reason: 'malformed',
    });
  }
  t.end();
});

t.test(
  'names of another number than the descriptors are an error',
  leavingNothing((t) => {
    using sockets = new Sockets();
    for (const names of ['one:two', '', 'one:']) {
      const count = names === '' ? '2' : '1';
      const variables = { LISTEN_PID: 'PID', LISTEN_FDS: count, LISTEN_FDNAMES: names };
      const { first, second, left } = activate(variables, [sockets.ours, sockets.theirs]);
      t.match(first, { variable: 'LISTEN_FDNAMES', reason: 'names', message: new RegExp(`${count} names`) });
      t.strictSame([second, left], [[], []]);
    }
  }),
);

t.test(
  'a descriptor that was not passed is an error that names it, however many there should be',
  leavingNothing((t) => {
    using sockets = new Sockets();
    for (const count of ['5000', '4294967296', '9007199254740991']) {
      const { first } = activate({ LISTEN_PID: 'PID', LISTEN_FDS: count }, [sockets.ours]);
      t.match(first, { variable: 'LISTEN_FDS', reason: 'not-open', message: /\(\d+ is none\)/ });
    }
  }),
);

t.test(
  "a descriptor of Node's own is not taken for one that was passed",
  leavingNothing((t) => {
    const { first } = activate({ LISTEN_PID: 'PID', LISTEN_FDS: '1' }, []);
    t.match(first, { variable: 'LISTEN_FDS', message: /\(3 is none\)/ });
  }),
);

t.test(
  'none at all is no error',
  leavingNothing((t) => {
    t.strictSame(activate({ LISTEN_PID: 'PID', LISTEN_FDS: '0', LISTEN_FDNAMES: '' }, []).first, []);
    t.strictSame(activate({ LISTEN_PID: 'PID' }, []).first, []);
    t.strictSame(activate({ LISTEN_FDS: '1' }, []).first, []);
    t.strictSame(listenFds({}), []);
  }),
);

t.test('what is malformed is an error that names it, and the variables are gone all the same', (t) => {
  for (const value of ['', '-1', '1.0', ' 1', '1 ', '+1', '0x1', 'three', '99999999999999999999', '٣']) {
    const environment = { LISTEN_PID: `${process.pid}`, LISTEN_FDS: value, LISTEN_FDNAMES: 'a', OTHER: 'stays' };
    t.throws(() => listenFds(environment), { name: 'EnvironmentError', code: 'EINVAL', variable: 'LISTEN_FDS', value });
    t.strictSame(environment, { OTHER: 'stays' });
    t.throws(() => listenFds({ LISTEN_PID: value, LISTEN_FDS: '1' }), {
      name: 'EnvironmentError',
      variable: 'LISTEN_PID',
    });
  }
  t.end();
});

t.test('whatever the environment holds, the answer is descriptors or an EnvironmentError, and it is clean', (t) => {
  const number = fc.oneof(
    fc.constantFrom(`${process.pid}`, '0', '-0', '00', '65536', '1e9', 'Infinity', '9007199254740992'),
    fc.string(),
    fc.bigInt({ min: 10_000n, max: 10n ** 20n }).map(String),
  );
  const environment = fc.record(
    {
      LISTEN_PID: fc.oneof(fc.constant(`${process.pid}`), number),
      // Not a number that the descriptors of this process itself would do for.
      LISTEN_FDS: number.filter((text) => !/^0*[1-9]\d{0,3}$/.test(text)),
      LISTEN_FDNAMES: fc.string(),
      LISTEN_PIDFDID: fc.string(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(environment, (variables) => {
      const copy: Record<string, string> = { ...variables };
      try {
        t.strictSame(listenFds(copy), []);
      } catch (error) {
        if (!(error instanceof ListenFdsError)) throw error;
        t.ok(error instanceof EnvironmentError);
        t.ok(VARIABLES.includes(error.variable));
        t.equal(error.value, variables[error.variable as keyof typeof variables]);
      }
      t.strictSame(copy, {});
    }),
    { numRuns: 1000 },
  );
  t.end();
});

const activator = '/usr/bin/systemd-socket-activate';
const needsActivator = existsSync(activator) ? {} : { skip: 'systemd-socket-activate is not installed' };

t.test(
  'takes the sockets that systemd-socket-activate listens on',
  needsActivator,
  leavingNothing(async (t) => {
    using folder = new Folder();
    using output = new Sockets();
    setNonBlocking(output.ours.number, false);
    const paths = [folder.join('one'), folder.join('two')];
    const listens = paths.map((path) => `--listen=${path}`);
    const child = spawn(activator, {
      args: [...listens, '--fdname=web:control', process.execPath, program],
      env: plainEnvironment,
      fds: [null, output.theirs, null],
    });
    output.theirs.close();
    using client = unixSocket();
    // It starts the program at the first connection. The socket exists a moment before it listens.
    await until(() => {
      try {
        connect(client.number, paths[1] ?? '');
        return true;
      } catch (error) {
        if (isSystemError(error, 'ENOENT', 'ECONNREFUSED')) return false;
        throw error;
      }
    });
    const exit = waitForExit(child);
    const text = Buffer.alloc(65_536);
    const size = read(output.ours.number, text);
    const { first, left } = JSON.parse(text.toString('utf8', 0, size)) as Outcome;
    t.match(exit, { code: 'exited', status: 0 });
    t.match(first, [
      { name: 'web', number: 3, target: /^socket:/, closedOnExec: true },
      { name: 'control', number: 4, target: /^socket:/, closedOnExec: true },
    ]);
    t.strictSame(left, []);
  }),
);

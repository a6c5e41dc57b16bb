import { existsSync } from 'node:fs';
import { ListenAddressError, listenInet, listenUnix, openSockets, PassedFds } from '@sdrx/event';
import { type Fd, setNonBlocking, spawn } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { plainEnvironment } from './run-node.js';

const program = programPath('./programs/open-sockets.js', import.meta.url);

interface Opened {
  readonly name: string;
  readonly passed: boolean;
  readonly nonBlocking: boolean;
}

interface Outcome {
  readonly opened?: readonly Opened[];
  readonly error?: { readonly name: string; readonly message: string; readonly passed?: readonly string[] };
}

/** Starts the program with these sockets passed by their names. */
function open(
  declared: Readonly<Record<string, string>>,
  passed: readonly (readonly [name: string, fd: Fd])[],
): Outcome {
  const variables =
    passed.length === 0
      ? ''
      : `export LISTEN_PID=$$ LISTEN_FDS=${passed.length} LISTEN_FDNAMES='${passed.map(([name]) => name).join(':')}';`;
  const args = ['-c', `${variables} exec "$0" "$@"`, process.execPath, program, JSON.stringify(declared)];
  const fds = passed.map(([, fd]) => fd);
  const { output, exit } = runProgram('sh', args, { env: plainEnvironment, fds: [null, null, 2, ...fds] });
  if (exit.code !== 'exited' || exit.status !== 0) throw new Error(`the program ended by ${exit.code} ${exit.status}`);
  return JSON.parse(output) as Outcome;
}

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());
const [web, control] = [folder.join('web'), folder.join('control')];
const declared = { web: `unix:${web}`, control: `unix-datagram:${control}` };

t.test(
  'a service that is started by hand has its own sockets, which go with it',
  leavingNothing((t) => {
    t.match(open(declared, []), {
      opened: [
        {
          name: 'web',
          passed: false,
          nonBlocking: true,
          address: { family: 'unix', path: web },
          is: { listening: true },
        },
        { name: 'control', passed: false, is: { type: 'datagram', address: { path: control } } },
      ],
    });
    t.notOk(existsSync(web) || existsSync(control));
    const { http } = openSockets({ http: 'tcp:127.0.0.1:0' });
    t.match(http.address, { family: 'inet', host: '127.0.0.1' });
    http[Symbol.dispose]();
  }),
);

t.test(
  'those that were passed are taken by name, in whatever order, and stay where they are',
  leavingNothing((t) => {
    using unix = listenUnix(web);
    // As systemd passes it.
    setNonBlocking(unix.fd.number, false);
    using datagram = listenInet('127.0.0.1', 0, { type: 'datagram' });
    const { opened } = open(declared, [
      ['control', datagram.fd],
      ['web', unix.fd],
    ]);
    t.match(opened, [
      { name: 'web', passed: true, number: 4, nonBlocking: true, address: { path: web } },
      { name: 'control', passed: true, number: 3, address: datagram.address },
    ]);
    t.ok(existsSync(web), 'a passed path is not removed');
  }),
);

t.test(
  'a single one for a single one may have any name',
  leavingNothing((t) => {
    using unix = listenUnix(web);
    t.match(open({ http: 'tcp:127.0.0.1:80' }, [['my.socket', unix.fd]]), { opened: [{ name: 'http', passed: true }] });
  }),
);

t.test(
  'what does not fit is told by name, with what to do',
  leavingNothing((t) => {
    using unix = listenUnix(web);
    using datagram = listenUnix(control, { type: 'datagram' });
    const refused = (passed: readonly (readonly [string, Fd])[], message: RegExp) =>
      t.match(open(declared, passed), {
        error: { name: 'PassedSocketsError', message, passed: passed.map(([name]) => name) },
      });
    refused(
      [
        ['web', unix.fd],
        ['other', datagram.fd],
      ],
      /no socket 'control'.*FileDescriptorName=control.*'web', 'other'/,
    );
    refused([['web', unix.fd]], /no socket 'control'/);
    refused(
      [
        ['web', datagram.fd],
        ['control', unix.fd],
      ],
      /'web' must be a listening stream socket, it is a datagram socket/,
    );
    refused(
      [
        ['web', unix.fd],
        ['control', unix.fd],
      ],
      /'control' must be a datagram socket, it is a listening stream socket/,
    );
    refused(
      [
        ['web', unix.fd],
        ['control', datagram.fd],
        ['more', datagram.fd],
      ],
      /nothing is declared.*'more'/,
    );
    const child = spawn('true');
    refused(
      [
        ['web', child.pidfd],
        ['control', datagram.fd],
      ],
      /it is a pidfd/,
    );
    waitForExit(child);
  }),
);

t.test(
  'a wrong address opens nothing, nor does one that is taken',
  leavingNothing((t) => {
    t.throws(() => openSockets({ web: `unix:${web}`, bad: 'tcp:80' }), ListenAddressError);
    t.notOk(existsSync(web));
    using _taken = listenUnix(control);
    t.throws(() => openSockets({ web: `unix:${web}`, control: `unix:${control}` }), { code: 'EADDRINUSE' });
    t.notOk(existsSync(web));
  }),
);

t.test('without any that were passed there is nothing to take', async (t) => {
  using passed = new PassedFds({});
  t.strictSame(passed.all, []);
  t.equal(passed.take('x'), undefined);
  t.equal(passed.takeNext(), undefined);
  t.equal(
    passed.takeKind(() => true),
    undefined,
  );
});

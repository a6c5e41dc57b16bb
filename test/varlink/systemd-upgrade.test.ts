import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { EventLoop } from '@sdrx/event';
import { bind, listen, unixSocket } from '@sdrx/linux';
import { connect, implement, untypedMethod, varlinkInterface } from '@sdrx/varlink';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { inTestingSystemd, needsTestingSystemd } from '../support/testing-systemd.js';
import { withServer } from './fixture.js';

const shouting = varlinkInterface({
  name: 'org.example.shouting',
  methods: { Shout: { upgrade: 'required' }, Refuse: {} },
});

const service = [
  implement(shouting, {
    Shout: (_, call) =>
      call.takeConnection((connection) => {
        const stream = connection.stream();
        stream.on('data', (chunk) => stream.write(String(chunk).toUpperCase()));
        stream.on('end', () => stream.end('.'));
      }),
    Refuse: () => {},
  }),
];

/** Runs a program of that systemd, which is given `input`. */
async function run(runtime: string, input: string, ...command: readonly string[]) {
  const [file, ...args] = inTestingSystemd(runtime, ...command);
  const child = spawn(file, args, { stdio: 'pipe' });
  const ended = once(child, 'close');
  child.stdin.end(input);
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { stdout, stderr, status };
}

t.test('varlinkctl --upgrade speaks with our service', needsTestingSystemd, (t) =>
  withServer(service, async (fixture) => {
    const varlinkctl = ['varlinkctl', 'call', '--upgrade', 'unix:/run/systemd/socket'];
    const long = 'loud and clear\n'.repeat(20_000);
    const { stdout, stderr, status } = await run(fixture.folder, long, ...varlinkctl, `${shouting.name}.Shout`);
    t.same({ stderr, status }, { stderr: '', status: 0 });
    t.ok(stdout === `${long.toUpperCase()}.`);
    const refused = await run(fixture.folder, '', ...varlinkctl, `${shouting.name}.Refuse`);
    t.not(refused.status, 0);
    t.match(refused.stderr, /org\.varlink\.service\.InvalidParameter/);
    const info = await run(fixture.folder, '', 'varlinkctl', 'introspect', 'unix:/run/systemd/socket', shouting.name);
    t.match(info.stdout, "# [Requires 'upgrade' flag]\nmethod Shout()");
    t.same(fixture.failures, []);
  }),
);

t.test('a program that varlinkctl starts has the connection as standard input and output', needsTestingSystemd, (t) =>
  withServer(service, async (fixture) => {
    const script = 'echo some words; read line; echo "got $line" >&2';
    const method = `${shouting.name}.Shout`;
    const call = [
      'varlinkctl',
      'call',
      '--upgrade',
      '--exec',
      '--',
      'unix:/run/systemd/socket',
      method,
      '{}',
      'sh',
      '-c',
    ];
    const { stderr, status } = await run(fixture.folder, '', ...call, script);
    t.same({ stderr, status }, { stderr: 'got SOME WORDS\n', status: 0 });
  }),
);

t.test('our client speaks with a program that varlinkctl serves', needsTestingSystemd, async (t) => {
  using folder = new Folder();
  using listener = unixSocket();
  bind(listener.number, folder.join('socket'));
  listen(listener.number);
  const method = 'org.example.tr.Upper';
  const activate = ['sh', '-c', 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', 'sh'];
  const serve = ['varlinkctl', 'serve', method, 'tr', 'a-z', 'A-Z'];
  const [file, ...args] = inTestingSystemd(folder.path, ...activate, ...serve);
  const server = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit', listener.number] });
  const ended = once(server, 'exit');
  const loop = new EventLoop();
  const finished = loop.run();
  try {
    using client = connect(loop, folder.join('socket'));
    const { connection } = await client.upgrade(untypedMethod(method), {});
    const stream = connection.stream();
    stream.end('loud and clear');
    t.equal(await text(stream), 'LOUD AND CLEAR');
    using other = connect(loop, folder.join('socket'));
    await t.rejects(other.call(untypedMethod(method), {}), { message: 'org.varlink.service.ExpectedUpgrade' });
  } finally {
    loop.exit();
    await finished;
    server.kill('SIGKILL');
    await ended;
  }
});

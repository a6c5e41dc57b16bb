import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { EventLoop } from '@sdrx/event';
import { callOnce, connect, parseServiceAddress, untypedMethod, varlinkService } from '@sdrx/varlink';
import fc from 'fast-check';
import t from 'tap';
import { children } from '../support/children.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { example, exampleService } from './example.js';
import { frame, withServer } from './fixture.js';

const { methods } = example;

const addresses: [string, ReturnType<typeof parseServiceAddress>][] = [
  ['/run/x', { kind: 'unix', path: '/run/x' }],
  ['x/y', { kind: 'unix', path: 'x/y' }],
  ['@x', { kind: 'unix', path: '@x' }],
  ['/run/x;y', { kind: 'unix', path: '/run/x;y' }],
  ['unix:/run/x y', { kind: 'unix', path: '/run/x y' }],
  ['unix:/run/x;mode=0666', { kind: 'unix', path: '/run/x' }],
  ['unix:@x', { kind: 'unix', path: '@x' }],
  ['tcp:127.0.0.1:80', { kind: 'tcp', host: '127.0.0.1', port: 80 }],
  ['tcp:localhost:65535', { kind: 'tcp', host: '127.0.0.1', port: 65535 }],
  ['tcp:[::1]:80', { kind: 'tcp', host: '::1', port: 80 }],
  ['tcp:[fe80::1%lo]:80;x', { kind: 'tcp', host: 'fe80::1%lo', port: 80 }],
  ['exec:/usr/bin/x y', { kind: 'exec', program: '/usr/bin/x y' }],
  ['ssh-unix:host:/run/x', { kind: 'ssh', destination: 'host', path: '/run/x' }],
  ['ssh:me@host.example:/run/x:y', { kind: 'ssh', destination: 'me@host.example', path: '/run/x:y' }],
  ['ssh-unix:[fe80::1]:/run/x', { kind: 'ssh', destination: '[fe80::1]', path: '/run/x' }],
];

for (const [text, address] of addresses) {
  t.test(`${text} is an address`, (t) => {
    t.strictSame(parseServiceAddress(text), address);
    t.end();
  });
}

const none = [
  ...['unix:', 'unix:x', 'unix:@', 'tcp:', 'tcp:127.0.0.1', 'tcp:127.0.0.1:0', 'tcp:127.0.0.1:65536', 'tcp:host:80'],
  ...['tcp:::1:80', 'tcp:[127.0.0.1]:80', 'exec:x', 'exec:', 'ssh-unix:host', 'ssh-unix:host:x', 'ssh-unix::/run/x'],
  ...['ssh-unix:-oProxyCommand=x:/run/x', 'http://x', 'vsock:2:80'],
];

t.test('what is no address is named', (t) => {
  for (const text of none) {
    t.throws(() => parseServiceAddress(text), { name: 'ServiceAddressError', text, message: `'${text}' is no` }, text);
  }
  fc.assert(
    fc.property(fc.constantFrom('unix:', 'tcp:', 'exec:', 'ssh-unix:', ''), fc.string(), (scheme, rest) => {
      try {
        const address = parseServiceAddress(scheme + rest);
        if (address.kind === 'ssh' && address.destination.startsWith('-')) throw new Error('an option for ssh');
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
    }),
  );
  t.end();
});

t.test('a method is called once, without a loop and without a declaration', (t) =>
  withServer(exampleService(), async ({ path }) => {
    await leavingNothing(async () => {
      const { parameters } = await callOnce(`unix:${path}`, methods.Echo, { text: 'x' });
      t.equal(parameters.text, 'x');
      const answer = await callOnce(path, untypedMethod('org.example.test.Echo'), { text: 'y', number: 5 });
      t.strictSame(answer.parameters, { text: 'y', number: 5 });
      const info = await callOnce(path, varlinkService.methods.GetInfo, {});
      t.equal(info.parameters.product, 'test');
      await t.rejects(callOnce(path, methods.Unimplemented, {}), { name: 'VarlinkError' });
      await t.rejects(callOnce(`${path}-none`, methods.Nothing, {}), { code: 'ENOENT' });
      await t.rejects(callOnce('tcp:host:80', methods.Nothing, {}), { name: 'ServiceAddressError' });
    });
  }),
);

t.test('what is no method is refused before it is sent', (t) => {
  for (const name of ['', 'Echo', 'a.b', 'a.b.c', 'a.b.X ', 'a.b.X\n'])
    t.throws(() => untypedMethod(name), { name: 'TypeError', message: /^`name` must be/ }, JSON.stringify(name));
  t.end();
});

t.test('a service is spoken to over TCP', async (t) => {
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      const { method, parameters } = JSON.parse(bytes.toString().slice(0, -1));
      socket.write(frame({ parameters: { text: `${method} ${parameters.text}` } }));
    });
  });
  for (const host of ['127.0.0.1', '::1']) {
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const { port } = server.address() as { port: number };
    const address = `tcp:${host === '::1' ? '[::1]' : 'localhost'}:${port}`;
    const { parameters } = await callOnce(address, methods.Echo, { text: 'x' });
    t.equal(parameters.text, 'org.example.test.Echo x');
    await new Promise((resolve) => server.close(resolve));
    await t.rejects(callOnce(address, methods.Nothing, {}), { message: /ECONNREFUSED|refused/ });
  }
});

/** A program that a path starts, as `exec:` needs it. */
function executable(folder: Folder, name: string, ...args: readonly string[]): string {
  const path = folder.join(name);
  const quoted = [process.execPath, programPath('programs/exec-service.js', import.meta.url), ...args];
  writeFileSync(path, `#!/bin/sh\nunset NODE_OPTIONS\nexec ${quoted.map((part) => `'${part}'`).join(' ')}\n`);
  chmodSync(path, 0o755);
  return path;
}

t.test('a program is started to be spoken to, and has ended afterwards', async (t) => {
  await leavingNothing(async () => {
    using folder = new Folder();
    const address = `exec:${executable(folder, 'service')}`;
    const { parameters } = await callOnce(address, methods.Echo, { text: 'x' });
    t.equal(parameters.text, 'x');
    await t.rejects(callOnce(address, methods.Unimplemented, {}), { name: 'VarlinkError' });
    t.strictSame(children(), [], 'it was waited for');
    await t.rejects(callOnce(`exec:${folder.join('none')}`, methods.Nothing, {}), { code: 'ENOENT' });
  });
});

t.test('a program that does not end is killed with the loop', async (t) => {
  await leavingNothing(async () => {
    using folder = new Folder();
    const loop = new EventLoop();
    const finished = loop.run();
    const client = connect(loop, `exec:${executable(folder, 'service', 'stubborn')}`);
    await until(() => children().length === 1);
    client[Symbol.dispose]();
    t.match(client.closed, { name: 'ConnectionClosedError' });
    loop.exit();
    await finished;
    await until(() => children().length === 0);
  });
});

t.test('ssh connects to the socket of another machine', (t) =>
  withServer(exampleService(), async ({ path }) => {
    using folder = new Folder();
    const program = `#!${process.execPath}
      const { connect } = require('node:net');
      require('node:fs').writeFileSync(${JSON.stringify(folder.join('arguments'))}, JSON.stringify(process.argv.slice(2)));
      const socket = connect(process.argv[process.argv.indexOf('-W') + 1]);
      process.stdin.pipe(socket);
      socket.pipe(process.stdout);`;
    writeFileSync(folder.join('ssh'), program);
    chmodSync(folder.join('ssh'), 0o755);
    const { PATH, NODE_OPTIONS } = process.env;
    process.env.PATH = `${folder.path}:${PATH}`;
    delete process.env.NODE_OPTIONS;
    try {
      const { parameters } = await callOnce(`ssh-unix:me@elsewhere:${path}`, methods.Echo, { text: 'x' });
      t.equal(parameters.text, 'x');
    } finally {
      process.env.PATH = PATH;
      if (NODE_OPTIONS !== undefined) process.env.NODE_OPTIONS = NODE_OPTIONS;
    }
    const args = JSON.parse(readFileSync(folder.join('arguments'), 'utf8'));
    t.strictSame(args, ['-T', '-e', 'none', '-W', path, '--', 'me@elsewhere']);
  }),
);

import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { type ControlCommands, ControlSocket, listenUnix } from '@sdrx/event';
import t, { type Test } from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { plainEnvironment } from './run-node.js';

const manifest = programPath('../../../packages/event/package.json', import.meta.url);
const program = programPath(`../../../packages/event/${bin()}`, import.meta.url);

function bin(): string {
  return JSON.parse(readFileSync(manifest, 'utf8')).bin['sdrx-control'];
}

interface Outcome {
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function control(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [program, ...args], { env: plainEnvironment }, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
  });
}

/** Serves commands at a path until the end of the test. */
function serve(t: Test, commands: ControlCommands): string {
  const folder = new Folder();
  const path = folder.join('control');
  const listener = listenUnix(path);
  const socket = new ControlSocket(listener.fd, commands);
  socket.resume();
  t.teardown(async () => {
    await socket.drain({ signal: AbortSignal.abort() });
    listener[Symbol.dispose]();
    folder[Symbol.dispose]();
  });
  return path;
}

t.test('sdrx-control is a program that a shell starts, and explains itself', async (t) => {
  t.match(readFileSync(program, 'utf8'), /^#!\/usr\/bin\/env node\n/);
  t.ok(statSync(program).isFile());
  for (const option of ['--help', '-h']) {
    const { status, stdout, stderr } = await control(option);
    t.strictSame({ status, stderr }, { status: 0, stderr: '' });
    t.match(stdout, /^Usage: sdrx-control PATH COMMAND\n/);
    for (const word of ['restart', 'stop', 'status']) t.match(stdout, new RegExp(`^  ${word} `, 'm'));
    t.notOk(stdout.split('\n').some((line) => line.length > 110));
  }
});

t.test('it waits for the outcome, however long that takes, and prints it', async (t) => {
  let finish: ((outcome: string) => void) | undefined;
  const path = serve(t, {
    status: () => 'process 5',
    restart: () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
    stop: () => 'the service is ending',
  });
  t.strictSame(await control(path, 'status'), { status: 0, stdout: 'process 5\n', stderr: '' });
  const restarted = control(path, 'restart');
  await until(() => finish !== undefined);
  t.strictSame(await control(path, 'stop'), { status: 0, stdout: 'the service is ending\n', stderr: '' });
  finish?.('process 6 is the service');
  t.strictSame(await restarted, { status: 0, stdout: 'process 6 is the service\n', stderr: '' });
});

t.test('1: the service has not done it', async (t) => {
  const path = serve(t, {
    status: () => 'process 5',
    restart: () => Promise.reject(new Error('the new process ended')),
  });
  const failed = { status: 1, stdout: '' };
  t.match(await control(path, 'restart'), { ...failed, stderr: 'sdrx-control: the new process ended\n' });
  t.match(await control(path, 'stop'), { ...failed, stderr: /no command 'stop': there are status, restart\n$/ });
});

t.test('1: the service has ended without an answer', async (t) => {
  using folder = new Folder();
  const path = folder.join('control');
  const server = createServer((socket) => socket.end()).listen(path);
  t.teardown(() => server.close());
  t.match(await control(path, 'restart'), { status: 1, stderr: /^sdrx-control: .*without an answer\n$/ });
});

t.test(
  '2: a wrong command line',
  leavingNothing(async (t) => {
    for (const [pattern, ...args] of [
      [/a path and a command must be given/],
      [/a path and a command must be given/, '/run/x'],
      [/a path and a command must be given/, '', 'status'],
      [/a path and a command must be given/, '/run/x', 'status', 'stop'],
      [/must be restart or stop or status, not 'start'/, '/run/x', 'start'],
      [/'--now'/, '/run/x', 'stop', '--now'],
    ] as const) {
      const { status, stdout, stderr } = await control(...args);
      t.match({ status, stdout, stderr }, { status: 2, stdout: '', stderr: pattern });
      t.match(stderr, /^sdrx-control: [^\n]*; see --help\n$/, 'one line');
    }
  }),
);

t.test('3: there is no service', async (t) => {
  using folder = new Folder();
  const left = folder.join('left');
  const listener = listenUnix(left);
  listener.leave();
  for (const [path, code] of [
    [folder.join('missing'), 'ENOENT'],
    [left, 'ECONNREFUSED'],
    [`@sdrx-test-missing-${process.pid}`, 'ECONNREFUSED'],
  ] as const) {
    t.match(await control(path, 'status'), { status: 3, stdout: '', stderr: new RegExp(`^sdrx-control: .*${code}`) });
  }
});

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { EventLoop } from '@sdrx/event';
import { connect } from '@sdrx/varlink';
import t from 'tap';
import { inTree, needsDebianTree } from '../support/debian-tree.js';
import { Folder } from '../support/folder.js';
import { certification, certificationService, certify } from './certification.js';
import { withServer } from './fixture.js';
import { PYTHON_PEER } from './python-peer.js';

/** Where a folder of ours is in the tree. */
const RUNTIME = '/run/systemd';

/** Runs a program of the tree to its end. @returns what it printed */
async function output(runtime: string, ...command: readonly string[]): Promise<string> {
  const [file = '', ...args] = inTree(runtime, ...command);
  const { SYSTEMD_LOG_LEVEL: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(file, args, { env });
  return stdout;
}

t.test('our client and our service certify each other', (t) =>
  withServer([certificationService()], async (fixture) => {
    t.equal(await certify(fixture.client()), true);
    // Another one, and one more on the same connection.
    const client = fixture.client();
    t.equal(await certify(client), true);
    t.equal(await certify(client), true);
    t.same(fixture.failures, []);
  }),
);

t.test('our service tells a call that is not the right one', (t) =>
  withServer([certificationService()], async (fixture) => {
    const client = fixture.client();
    const { methods, errors } = certification;
    const { client_id } = (await client.call(methods.Start, {})).parameters;
    const ask = async (call: Promise<unknown>) => await call.catch((error: unknown) => error);
    t.ok(errors.ClientIdError.is(await ask(client.call(methods.Test01, { client_id: 'other' }))));
    t.ok(errors.CertificationError.is(await ask(client.call(methods.Test02, { client_id, bool: true }))));
    t.ok(errors.CertificationError.is(await ask(client.call(methods.Test02, { client_id, bool: false }))));
  }),
);

t.test("Python's client certifies our service, by the interface's text as our service gives it", needsDebianTree, (t) =>
  withServer([certificationService()], async (fixture) => {
    const printed = await output(fixture.folder, 'python3', '-c', PYTHON_PEER, 'client', `unix:${RUNTIME}/socket`);
    t.equal(printed, 'all_ok True\n');
    t.same(fixture.failures, []);
  }),
);

t.test("our client certifies Python's service, which has the interface's text from us", needsDebianTree, async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join(`${certification.name}.varlink`), certification.text);
  const [file = '', ...args] = inTree(
    folder.path,
    ...['python3', '-c', PYTHON_PEER, 'server', `unix:${RUNTIME}/socket`, RUNTIME],
  );
  const python: ChildProcess = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(python, 'exit');
  const loop = new EventLoop();
  const finished = loop.run();
  try {
    await Promise.race([python.stdout && once(python.stdout, 'data'), ended]);
    using client = connect(loop, folder.join('socket'));
    t.equal(await certify(client), true);
  } finally {
    loop.exit();
    await finished;
    python.kill('SIGKILL');
    await ended;
  }
});

t.test('varlinkctl certifies our service', needsDebianTree, (t) =>
  withServer([certificationService()], async (fixture) => {
    const varlinkctl = async (option: string, method: string, parameters: object) => {
      const call = ['call', `unix:${RUNTIME}/socket`, `${certification.name}.${method}`, JSON.stringify(parameters)];
      const text = await output(
        fixture.folder,
        'varlinkctl',
        '--json=short',
        ...(option === '' ? [] : [option]),
        ...call,
      );
      // Several replies are a JSON text sequence. RFC 7464
      return text
        .replaceAll('\u001e', '\n')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
    };
    const [{ client_id }] = await varlinkctl('', 'Start', {});
    let last = {};
    for (let test = 1; test <= 9; test++) {
      [last] = await varlinkctl('', `Test0${test}`, { client_id, ...last });
    }
    const replies = await varlinkctl('--more', 'Test10', { client_id, ...last });
    await varlinkctl('--oneway', 'Test11', { client_id, last_more_replies: replies.map(({ string }) => string) });
    t.same(await varlinkctl('', 'End', { client_id }), [{ all_ok: true }]);
    t.same(fixture.failures, []);
  }),
);

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { askService, ControlError, ControlSocket, listenUnix, runService } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothingSoon } from '../support/nothing-left.js';
import { untilOr } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';

// With its first stream libuv opens a descriptor for itself.
createServer().listen(0).close();

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

/** A control socket that serves while the body runs. */
const serving = (
  body: (t: import('tap').Test, path: string, control: ControlSocket) => Promise<void>,
  commands: ConstructorParameters<typeof ControlSocket>[1] = {
    add: () => 'done',
    fail: () => Promise.reject(new Error('not\nnow')),
    wait: () => new Promise((resolve) => setTimeout(() => resolve('long'), 300)),
    hang: () => new Promise(() => {}),
  },
) =>
  leavingNothingSoon(async (t) => {
    using socket = listenUnix(folder.join('control'), { mode: 0o600 });
    const control = new ControlSocket(socket.fd, commands);
    control.resume();
    await body(t, folder.join('control'), control);
    await control.drain({ signal: AbortSignal.abort() });
  });

/** What comes when this is sent, and nothing more. */
async function say(path: string, text: string, ends: boolean): Promise<string> {
  const socket = connect(path).setEncoding('utf8');
  if (ends) socket.end(text);
  else socket.write(text);
  let answer = '';
  socket.on('data', (chunk: string) => {
    answer += chunk;
  });
  await once(socket, 'close');
  return answer;
}

t.test(
  'a command is answered in one line, when it is done',
  serving(async (t, path) => {
    t.equal(await askService(path, 'add'), 'done');
    await t.rejects(askService(path, 'fail'), new ControlError('not now'));
    await t.rejects(askService(path, 'toString'), {
      name: 'ControlError',
      message: `no command 'toString': there are add, fail, wait, hang`,
    });
    t.strictSame(await Promise.all([askService(path, 'wait'), askService(path, 'add')]), ['long', 'done']);
  }),
);

t.test(
  'a command may come in pieces, end with the stream, or be followed by more',
  serving(async (t, path) => {
    t.equal(await say(path, 'add', true), 'ok done\n');
    t.equal(await say(path, 'add\nadd\nadd\n', false), 'ok done\n');
    t.equal(await say(path, '', true), '');
    t.match(await say(path, 'x'.repeat(5000), false), /^error no command 'x{1024}': /);
    t.match(await say(path, 'x'.repeat(5000), true), /^error no command 'x{1024}': /);
    const socket = connect(path).setEncoding('utf8');
    for (const byte of 'add\n') {
      socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const [answer] = (await once(socket, 'data')) as [string];
    t.equal(answer, 'ok done\n');
    await once(socket, 'close');
  }),
);

t.test(
  'an end waits for those that are being answered, not for those that say nothing',
  serving(async (t, path, control) => {
    const idle = connect(path);
    await once(idle, 'connect');
    const asked = askService(path, 'wait');
    let count = 0;
    control.count.subscribe((now) => {
      count = now;
    });
    await untilOr(
      10_000,
      () => count === 2,
      () => `${count} connections`,
    );
    const drained = control.drain({ signal: new AbortController().signal });
    await once(idle, 'close');
    t.equal(await asked, 'long');
    await drained;
  }),
);

t.test(
  'a service that ends without an answer',
  serving(async (t, path, control) => {
    const asked = askService(path, 'hang');
    asked.catch(() => {});
    let count = 0;
    control.count.subscribe((now) => {
      count = now;
    });
    await untilOr(
      10_000,
      () => count === 1,
      () => `${count} connections`,
    );
    await control.drain({ signal: AbortSignal.abort() });
    await t.rejects(asked, new ControlError('the service has ended without an answer'));
  }),
);

t.test('one that is killed before it has read the command', async (t) => {
  const path = folder.join('killed');
  const [listens, accepted] = [`${path}-listens`, `${path}-accepted`];
  const note = (place: string) => `() => require('node:fs').writeFileSync(${JSON.stringify(place)}, '')`;
  const server = `require('node:net').createServer({ pauseOnConnect: true }, ${note(accepted)})`;
  const child = spawn(process.execPath, {
    args: ['-e', `${server}.listen(${JSON.stringify(path)}, ${note(listens)})`],
    env: { ...process.env, NODE_OPTIONS: '' },
    fds: [null, null, 2],
  });
  t.teardown(() => child[Symbol.dispose]());
  const comes = (place: string) =>
    untilOr(
      20_000,
      () => existsSync(place),
      () => `${place} is not there`,
      20,
    );
  await comes(listens);
  const asked = askService(path, 'status');
  asked.catch(() => {});
  await comes(accepted);
  child.kill('SIGKILL');
  await t.rejects(asked, new ControlError('the service has ended without an answer'));
  waitForExit(child);
  await t.rejects(askService(path, 'status'), { code: 'ECONNREFUSED' });
  await t.rejects(askService(folder.join('missing'), 'status'), { code: 'ENOENT' });
});

t.test('a control socket of everybody is refused', async (t) => {
  await t.rejects(
    runService({ control: '@open' }, () => {}),
    {
      name: 'RangeError',
      message: /control.* must be a path, as abstract names have no mode/,
    },
  );
});

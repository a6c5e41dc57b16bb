import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Dispatch } from '@sdrx/event';
import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { plainEnvironment } from './run-node.js';

const event = programPath('../../../packages/event', import.meta.url);
const { readTrace, TraceFormatError, TraceWriter } = await import(`${event}/dist/trace/trace-format.js`);
const { bin } = JSON.parse(readFileSync(`${event}/package.json`, 'utf8'));

interface Outcome {
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

function draw(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const program = `${event}/${bin['sdrx-trace']}`;
    execFile(process.execPath, [program, ...args], { env: plainEnvironment }, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
  });
}

function textOf(dispatches: readonly Dispatch[]): string {
  const writer = new TraceWriter(1);
  return writer.head() + dispatches.map((dispatch) => writer.dispatch(dispatch)).join('') + writer.tail();
}

/** A dispatch that became pending at `pending`, began so much later and took so long. */
function dispatch(pending: number, wait: number, time: number, rest: Partial<Dispatch> = {}): Dispatch {
  const begin = pending + wait;
  return {
    kind: 'time',
    description: undefined,
    priority: 0,
    iteration: 1,
    pending,
    begin,
    end: begin + time,
    ...rest,
  };
}

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());
const file = folder.join('trace.json');

const times = fc.integer({ min: 0, max: 1e12 }).map((nanoseconds) => nanoseconds / 1e6);
const dispatches = fc.array(
  fc
    .record({
      kind: fc.string({ unit: 'binary' }),
      description: fc.option(fc.string({ unit: 'binary' }), { nil: undefined }),
      priority: fc.integer(),
      iteration: fc.nat(),
      ...{ pending: times, wait: times, time: times },
    })
    .map(({ pending, wait, time, ...rest }) => dispatch(pending, wait, time, rest)),
);

/** To the nanosecond, which is as precise as a trace is. */
function rounded(dispatch: Dispatch): Dispatch {
  const round = (time: number) => Math.round(time * 1e6);
  return { ...dispatch, pending: round(dispatch.pending), begin: round(dispatch.begin), end: round(dispatch.end) };
}

t.test('what is written is read again, whatever sources are called', async (t) => {
  const property = fc.asyncProperty(dispatches, async (dispatches) => {
    const text = textOf(dispatches);
    t.ok(Array.isArray(JSON.parse(text)));
    t.strictSame((await readTrace(text.split('\n'))).map(rounded), dispatches.map(rounded));
  });
  await t.resolves(fc.assert(property));
});

t.test('of a file that was cut off anywhere, all whole lines are read', async (t) => {
  const all = [dispatch(1, 1, 1), dispatch(2, 0, 1), dispatch(3, 1, 0, { priority: -1, description: 'ä' })];
  const text = textOf(all);
  let most = 0;
  for (let length = text.indexOf('\n', 5); length <= text.length; length++) {
    const read = await readTrace(text.slice(0, length).split('\n'));
    t.ok(read.length >= most && read.length <= all.length);
    most = read.length;
  }
  t.equal(most, all.length);
});

t.test('what is no trace is refused with the number of its line', async (t) => {
  const head = '[\n{"ph":"M"},';
  for (const [text, message] of [
    ['', 'empty|line 1'],
    ['{}', 'line 1'],
    ['GIF89a', 'line 1'],
    [`${head}\nnonsense\n{"ph":"M"}\n`, 'line 3'],
    [`${head}\n5,\n]\n`, 'line 3'],
    [`${head}\n{"ph":"X"},\n]\n`, 'line 3.*args'],
    [`${head}\n{"ph":"X","args":{"kind":5}},\n]\n`, 'line 3'],
    [`${head}\n{"ph":"X","ts":"1","args":{}},\n]\n`, 'line 3.*ts is no number'],
    ['[\nnonsense', 'line 2'],
  ] as const) {
    await t.rejects(readTrace(text.split('\n')), { name: TraceFormatError.name, message: new RegExp(message) }, text);
    writeFileSync(file, text);
    t.match(
      await draw(file),
      { status: 1, stdout: '', stderr: new RegExp(`^sdrx-trace: .*(${message})[^\n]*\n$`) },
      text,
    );
  }
});

t.test('it explains itself, and says what is wrong with a command line', async (t) => {
  for (const option of ['--help', '-h']) {
    const { status, stdout, stderr } = await draw(option);
    t.strictSame({ status, stderr }, { status: 0, stderr: '' });
    t.match(stdout, /^Usage: sdrx-trace FILE /);
    t.notOk(stdout.split('\n').some((line) => line.length > 112));
  }
  writeFileSync(file, textOf([dispatch(0, 0, 1)]));
  for (const args of [
    [],
    [''],
    [file, 'another'],
    [file, '--svg='],
    [file, '--from=-1'],
    [file, '--from=x'],
    [file, '--to=0'],
    [file, '--from=5', '--to=5'],
    [file, '--width=39'],
    [file, '--width=1001'],
    [file, '--width=50.5'],
    [file, '--nonsense'],
  ]) {
    const { status, stdout, stderr } = await draw(...args);
    t.strictSame({ status, stdout }, { status: 2, stdout: '' }, args.join(' '));
    t.match(stderr, /^sdrx-trace: [^\n]*; see --help\n$/, 'one line');
  }
});

t.test('a file that is not there, or holds nothing to draw, is an error', async (t) => {
  t.match(await draw(folder.join('none')), { status: 1, stderr: /ENOENT/ });
  t.match(await draw(folder.path), { status: 1, stderr: /EISDIR/ });
  writeFileSync(file, textOf([]));
  t.match(await draw(file), { status: 1, stderr: /has no dispatch\n/ });
  writeFileSync(file, textOf([dispatch(0, 0, 1), dispatch(99, 0, 1)]));
  t.match(await draw(file, '--from=10', '--to=20'), { status: 1, stderr: /has no dispatch then\n/ });
  t.match(await draw(file, `--svg=${folder.join('none', 'a.svg')}`), { status: 1, stderr: /ENOENT/ });
});

t.test('lanes are drawn by priority, full where handlers ran and shaded where sources waited', async (t) => {
  writeFileSync(
    file,
    textOf([
      dispatch(0, 0, 20, { priority: 3 }),
      dispatch(10, 10, 20, { priority: -3, description: 'urgent' }),
      dispatch(60, 0, 20, { priority: 3 }),
    ]),
  );
  const { status, stdout } = await draw(file, '--width=93');
  t.equal(status, 0);
  const lines = stdout.split('\n');
  t.equal(lines[0], '3 dispatches in 80 ms, 75 % of it in handlers');
  // 80 columns, one a millisecond.
  t.equal(lines[2], `priority -3  ${' '.repeat(10)}${'░'.repeat(10)}${'█'.repeat(20)}`);
  t.equal(lines[3], `priority 3  ${'█'.repeat(20)}${' '.repeat(40)}${'█'.repeat(20)}`.padStart(93));
  t.match(lines[4], /^ {13}╵0 µs {15}╵20 ms {14}╵40 ms {14}╵60 ms {14}╵80 ms$/);
  t.match(stdout, /^time 'urgent' +-3 +1 +20 ms +20 ms +10 ms$/m);
  t.notMatch(stdout, '\u001b');

  const { stdout: part } = await draw(file, '--width=93', '--from=60');
  t.match(part, /^1 dispatches in 20 ms/);
  t.notMatch(part, 'priority -3');
});

t.test('one that took no time at all is seen, and alone', async (t) => {
  writeFileSync(file, textOf([dispatch(5, 0, 0)]));
  t.match(await draw(file, '--width=60'), { status: 0, stdout: /^1 dispatches in 0 µs\n\npriority 0 {2}▁/ });
  t.match(await draw(file, `--svg=${folder.join('a.svg')}`), { status: 0 });
  t.match(readFileSync(folder.join('a.svg'), 'utf8'), /<rect class="run"/);
});

t.test('a million dispatches are a small picture, and what they are called can not break it', async (t) => {
  const many = Array.from({ length: 20_000 }, (_, index) => dispatch(index, 0.1, 0.8, { priority: index % 3 }));
  const evil = '</title><script>alert(1)</script>\u0000\u001b[31m&"';
  writeFileSync(file, textOf([...many, dispatch(30_000, 1, 1000, { description: evil })]));
  const svg = folder.join('b.svg');
  t.match(await draw(file, `--svg=${svg}`), { status: 0, stdout: '' });
  const picture = readFileSync(svg, 'utf8');
  t.ok(picture.length < 100_000, `${picture.length} characters`);
  t.notMatch(picture, '<script>');
  t.notMatch(picture, /[^\P{Cc}\n]/u);
  t.match(picture, '&lt;/title&gt;&lt;script&gt;');
  t.notMatch((await draw(file)).stdout, /[^\P{Cc}\n]/u, 'nor what a terminal does');
});

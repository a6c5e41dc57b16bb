import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';

const program = programPath('../../../examples/dist/first-range.js', import.meta.url);
const skip = process.getuid?.() === 0 ? false : 'only root may hand out ids';

/** Runs the example until it waits for Ctrl-C, sends that, and gives what it printed. */
async function runUntilInterrupted(args: readonly string[], temporary: string): Promise<string> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exit = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  await until(() => output.includes('Ctrl-C') || child.exitCode !== null);
  child.kill('SIGINT');
  await exit;
  if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}:\n${output}`);
  return output;
}

t.test('the first range is shown, and nothing is left behind', { skip }, async (t) => {
  using folder = new Folder();
  const output = await runUntilInterrupted([], folder.path);
  t.match(output, /^namespace {2}first-range, inode \d+$/m);
  t.match(output, /^range {6}1436155904 to 1436221439, 65536 ids$/m);
  t.match(output, /^uid_map {4}0 1436155904 {6}65536$/m);
  t.match(output, /"userName": "ns-first-range-0"/);
  t.strictSame(readdirSync(folder.path), []);
});

t.test('a runtime directory that was there before stays, with its registry', { skip }, async (t) => {
  using folder = new Folder();
  mkdirSync(folder.join('mine'));
  await runUntilInterrupted([`--runtime-directory=${folder.join('mine')}`], folder.path);
  t.strictSame(readdirSync(folder.join('mine')).sort(), ['nsresource', 'userdb']);
});

t.test('a runtime directory that it made goes with it', { skip }, async (t) => {
  using folder = new Folder();
  await runUntilInterrupted([`--runtime-directory=${folder.join('new')}`], folder.path);
  t.strictSame(readdirSync(folder.path), []);
});

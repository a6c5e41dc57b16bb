import { writeFileSync } from 'node:fs';
import t from 'tap';
import { runFile } from '#scripts/tests/run-file.js';
import { Folder } from '../support/folder.js';

/** Runs a program as a test file. @returns what came of it */
async function outcomes(
  program: string,
  env: Readonly<Record<string, string>> = {},
  limits = { timeout: 100, grace: 30 },
): Promise<string[]> {
  using folder = new Folder();
  const source = folder.join('file.mjs');
  writeFileSync(source, program);
  const run = { kind: 'file', key: undefined, name: 'file', node: process.execPath, source } as const;
  const results = await runFile(run, { ...limits, env });
  return results.map(({ name, outcome }) => `${outcome}: ${name}`);
}

t.test('what a file prints are its tests', async (t) => {
  const program = `console.log('TAP version 14\\nok 1 - ' + process.env.WORD + process.env.TAP_TIMEOUT + '\\n1..1')`;
  t.strictSame(await outcomes(program, { WORD: 'word' }), ['passed: file > word100']);
});

t.test('what fails in it does not count once more as its end', async (t) => {
  const program = `console.log('TAP version 14\\nnot ok 1 - one\\n1..1'); process.exitCode = 1`;
  t.strictSame(await outcomes(program), ['failed: file > one']);
});

t.test('it fails if it ends badly, with what it wrote to standard error', async (t) => {
  const one = `process.stdout.write('TAP version 14\\nok 1 - one\\n1..1\\n', end); console.error('a reason');`;
  t.strictSame(await outcomes(`${one} function end() { process.exit(7); }`), [
    'passed: file > one',
    'failed: file: it ended with exit code 7\na reason\n',
  ]);
  t.strictSame(await outcomes(`${one} function end() { process.kill(process.pid, 'SIGKILL'); }`), [
    'passed: file > one',
    'failed: file: it was killed by SIGKILL\na reason\n',
  ]);
  t.strictSame(await outcomes(''), ['failed: file: it ended before it had a plan']);
});

t.test('what hangs and does not look at the time is killed, when it says or is told', async (t) => {
  const killed = ['failed: file: it was killed by SIGKILL'];
  t.strictSame(await outcomes('for (;;);', {}, { timeout: 1, grace: 1 }), killed);
  const program = 'process.send({ setTimeout: 1000 }, () => { for (;;); });';
  t.strictSame(await outcomes(program, {}, { timeout: 10_000, grace: 1 }), killed);
});

t.test('what says that it has no limit is waited for', async (t) => {
  // Longer than the grace, which is what a limit of 0 would leave it.
  const program = `process.send({ setTimeout: 0 }, () => setTimeout(() => {
    console.log('TAP version 14\\nok 1 - one\\n1..1');
    process.exit();
  }, 300));`;
  t.strictSame(await outcomes(program, {}, { timeout: 100, grace: 0.1 }), ['passed: file > one']);
});

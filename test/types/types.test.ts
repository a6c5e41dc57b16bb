import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

const root = programPath('../../..', import.meta.url);
const marker = /^\s*\/\/ @ts-expect-error (TS\d+): /;

/** Compiles one file as the tests are, and lists the errors: its line, from 0 on, and its code. */
function errorsOf(source: string): string[] {
  // Within the repository, so that the packages are found.
  const cache = `${root}/node_modules/.cache/sdrx`;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(`${cache}/types-`);
  try {
    writeFileSync(`${folder}/source.ts`, source);
    const compilerOptions = { noEmit: true, composite: false, incremental: false };
    writeFileSync(
      `${folder}/tsconfig.json`,
      JSON.stringify({ extends: `${root}/tsconfig.json`, compilerOptions, files: ['source.ts'], references: [] }),
    );
    const tsc = `${root}/node_modules/typescript/bin/tsc`;
    const { output } = runNode([tsc, '--project', folder, '--pretty', 'false']);
    const errors = [...output.matchAll(/source\.ts\((\d+),\d+\): error (TS\d+)/g)];
    return errors.map(([, line, code]) => `${Number(line) - 1}: ${code}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

t.test('every wrong line is refused for the reason that it is marked with, and nothing else is', (t) => {
  const lines = readFileSync(`${root}/test/types/wrong-options.ts`, 'utf8').split('\n');
  const wrong = lines.flatMap((line, index) => {
    const [, code] = marker.exec(line) ?? [];
    return code === undefined ? [] : [`${index + 1}: ${code}`];
  });
  t.ok(wrong.length > 20);
  const unmarked = lines.map((line) => (marker.test(line) ? '' : line)).join('\n');
  t.strictSame(errorsOf(unmarked), wrong);
  t.end();
});

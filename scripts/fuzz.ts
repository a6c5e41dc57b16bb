import { spawnSync } from 'node:child_process';
import { setup } from './setup.js';
import { root } from './support/root.js';
import { UserError } from './support/user-error.js';

const TEN_MINUTES = 600;

/** The options and the variables by which the test is told. */
const variables = new Map([
  ['seconds', 'SDRX_FUZZ_SECONDS'],
  ['seed', 'SDRX_FUZZ_SEED'],
  ['messages', 'SDRX_FUZZ_MESSAGES'],
]);

/** `npm run fuzz -- [--seconds=600] [--seed=N] [--messages=N]`: the first that is reached ends it. */
export async function main(args: readonly string[]): Promise<void> {
  const env: Record<string, string> = { SDRX_FUZZ_SECONDS: String(TEN_MINUTES) };
  for (const argument of args) {
    const [, name = '', value = ''] = /^--(\w+)=(\d+)$/.exec(argument) ?? [];
    const variable = variables.get(name);
    if (variable === undefined) throw new UserError(`no such option: ${argument}; see docs/testing.md`);
    env[variable] = value;
  }
  await setup();
  const { status } = spawnSync(process.execPath, ['test/dist/fuzz/fuzz.test.js'], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new UserError('a session went wrong; to repeat it, give --seed= as it is printed');
}

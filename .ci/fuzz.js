import { spawnSync } from 'node:child_process';
import { main, UserError } from './main.js';
import { root } from './root.js';
import { setup } from './setup.js';

const TEN_MINUTES = 600;

/** The options and the variables by which the test is told. */
const options = { seconds: 'SDRX_FUZZ_SECONDS', seed: 'SDRX_FUZZ_SEED', messages: 'SDRX_FUZZ_MESSAGES' };

/** `npm run fuzz -- [--seconds=600] [--seed=N] [--messages=N]`: the first that is reached ends it. */
await main(import.meta, async () => {
  /** @type {Record<string, string>} */
  const env = { SDRX_FUZZ_SECONDS: String(TEN_MINUTES) };
  for (const argument of process.argv.slice(2)) {
    const [, name = '', value = ''] = /^--(\w+)=(\d+)$/.exec(argument) ?? [];
    const variable = options[/** @type {keyof typeof options} */ (name)];
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
});

import { main, say } from './main.js';
import { setup } from './setup.js';

/** sysexits.h: EX_NOPERM */
const noPermission = 77;

/** Not written into the import, since it exists only once it is built. */
const example = '../examples/dist/first-range.js';

await main(import.meta, async () => {
  if (process.getuid?.() !== 0) {
    say('only root may hand out ids to user namespaces. Run it as root: sudo npm start');
    process.exitCode = noPermission;
    return;
  }
  await setup();
  await import(example);
});

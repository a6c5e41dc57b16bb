import { setup } from './setup.js';
import { javaScript } from './support/command.js';

/**
 * `npm run pictures` draws those of the documentation from what was recorded in docs/pictures; with `-- --record` that is recorded
 * anew first.
 */
export async function main(args: readonly string[]): Promise<void> {
  await setup();
  javaScript('docs/dist/pictures/draw.js', args);
}

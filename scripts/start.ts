import { pathToFileURL } from 'node:url';
import { setup } from './setup.js';
import { root } from './support/root.js';

/** `npm start -- [option of the example...]`. run.js lets only root come here. */
export async function main(args: readonly string[]): Promise<void> {
  await setup();
  const example = `${root}/examples/dist/first-range.js`;
  // As if it had been started itself: run.js has Node read a source map with each module, which takes time.
  process.setSourceMapsEnabled(false);
  process.argv.splice(1, Infinity, example, ...args);
  await import(pathToFileURL(example).href);
}

import { script } from './command.js';
import { main, say } from './main.js';
import { setup } from './setup.js';

/** Writes the API documentation, from the docstrings of the packages that others import. */
await main(import.meta, async () => {
  await setup();
  script('docs/node_modules/typedoc/bin/typedoc', ['--options', 'docs/typedoc.json', '--logLevel', 'Warn']);
  say('the API documentation is docs/api/index.html');
});

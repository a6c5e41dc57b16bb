import { setup } from './setup.js';
import { javaScript } from './support/command.js';
import { say } from './support/say.js';

/** `npm run docs` writes the API documentation, from the docstrings of the packages that others import. */
export async function main(): Promise<void> {
  await setup();
  javaScript('docs/node_modules/typedoc/bin/typedoc', ['--options', 'docs/typedoc.json', '--logLevel', 'Warn']);
  say('the API documentation is docs/api/index.html');
}

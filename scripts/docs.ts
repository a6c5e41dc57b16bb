import { setup } from './setup.js';
import { javaScript } from './support/command.js';
import { say } from './support/say.js';

/** `npm run docs` writes the documentation as a site: the pages of the repository, and the reference from docstrings. */
export async function main(): Promise<void> {
  await setup();
  javaScript('docs/node_modules/typedoc/bin/typedoc', ['--options', 'docs/typedoc.json', '--logLevel', 'Warn']);
  say('the documentation is docs/site/index.html');
}

import { existsSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { attempt, run } from './run.js';

interface ManPages {
  manPage(markdown: string, edition: { readonly date: string; readonly source: string }): string;
}

const { manPage }: ManPages = await import(programPath('../../../scripts/dist/package/man-page.js', import.meta.url));

const EDITION = { date: '2026-11-27', source: 'sdrx 1.2.3' };
const needsMandoc = existsSync('/usr/bin/mandoc') ? {} : { skip: 'mandoc is not installed' };

const MARKDOWN = `# some-page(7) - what \`it\` is

## A heading

.begins with a dot
'and' a quote, a\\\\b, a-b, ^, ~, \`<tag>\`, "q" & r.

- one
- two

  goes on:

  - within
- three

### Numbered

3. third
4. fourth

| one | two | three |
|---|---|---|
| \`a\` | **b** | [c](other.md#part) |

| term | meaning |
|---|---|
| \`--opt\`=*N* | see other-page(2) and [this](https://example.org/a-b) |

\`\`\`sh
.x
'y' \\n
\`\`\`
`;

/** What a terminal shows. */
function shown(folder: Folder, page: string): string {
  const path = folder.join('page.7');
  writeFileSync(path, page);
  t.strictSame(attempt(folder.path, 'mandoc', '-T', 'lint', path), { status: 0, stdout: '', stderr: '' });
  const text = run(folder.path, 'mandoc', '-T', 'utf8', '-O', 'width=78', path);
  // Bold and underlined characters are overstruck.
  return text.replaceAll(new RegExp(`.${String.fromCharCode(8)}`, 'gu'), '');
}

t.test('a page of the manual shows what its Markdown says', needsMandoc, (t) => {
  using folder = new Folder();
  const text = shown(folder, manPage(MARKDOWN, EDITION));
  for (const line of [
    /^SOME-PAGE\(7\) /m,
    /^NAME\n +some-page - what `it` is$/m,
    /^A HEADING$/m,
    /^ +\.begins with a dot 'and' a quote, a\\b, a-b, \^, ~, <tag>, "q" & r\.$/m,
    /^ +• one$/m,
    /^ +• two\n\n +goes on:\n\n +• within\n\n +• three$/m,
    /^ +3\. +third\n\n +4\. +fourth$/m,
    /^ +one +two +three$/m,
    /^ +a +b +c$/m,
    /^ +--opt=N\n? +see other-page\(2\) and this \(https:\/\/example\.org\/a-b\)$/m,
    /^ +\.x\n +'y' \\n$/m,
    /^sdrx 1\.2\.3 +(November 27, 2026|2026-11-27)/m,
  ])
    t.match(text, line);
  t.end();
});

t.test('what has no place in the manual is refused', (t) => {
  for (const [text, pattern] of [
    ['# a page\n\ntext', /begins with # NAME\(SECTION\) - SUMMARY/],
    ['# page(1) - text\n\n<table><tr></tr></table>\n', /can't show this html: <table>/],
    ['# page(1) - text\n\n![picture](trace.svg)\n', /can't show this image: !\[picture\]/],
    ['# page(1) - text\n\n> said\n', /can't show this blockquote: > said/],
  ] as const)
    t.throws(() => manPage(text, EDITION), pattern);
  t.end();
});

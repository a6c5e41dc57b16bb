import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { Browser, browserProgram } from '../support/browser.js';
import { serveFolder } from '../support/file-server.js';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { markdownPages, root } from './markdown-pages.js';

const docs = programPath('../../../docs', import.meta.url);

/** The repository's own front page; the site has another one. */
const NOT_IN_SITE = ['README.md'];

const DESKTOP = { name: 'desktop-light', width: 1280, height: 800, scheme: 'light' } as const;
const PHONE = { name: 'phone-dark', width: 390, height: 800, scheme: 'dark' } as const;

/** Where screenshots of all pages, in all looks, are written to, for who wants to look at them. */
const { SDRX_SCREENSHOTS } = process.env;

const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());

const text = (file: string) => readFileSync(folder.join(file), 'utf8');

const written = t.test('the documentation is written without a warning: what is public is documented', (t) => {
  const typedoc = [`${docs}/node_modules/typedoc/bin/typedoc`, '--options', `${docs}/typedoc.json`];
  const { output, exit } = runNode([...typedoc, '--logLevel', 'Warn', '--out', folder.path]);
  t.equal(output, '');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});
await written;

const html = readdirSync(folder.path, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.html'));

/** The addresses in the navigation of the front page, with the titles that it shows. */
const navigation = new Map(
  [
    ...(text('index.html').match(/<nav [^>]*site-navigation.*?<\/nav>/s)?.[0] ?? '').matchAll(
      /<a href="([^"]+)"[^>]*>([^<]*)</g,
    ),
  ].map(([, address = '', title = '']) => [address, plain(title)]),
);

function plain(escaped: string): string {
  return escaped
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&#39;', "'")
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}

t.test('the reference has what packages export', (t) => {
  const pages = readdirSync(folder.join('api', 'classes'));
  for (const page of [
    'event.index.EventLoop',
    'event.testing.VirtualLoop',
    'linux.Fd',
    'varlink.VarlinkClient',
    'bpf.BpfObject',
  ]) {
    t.ok(pages.includes(`_sdrx_${page}.html`), `${page} has a page`);
  }
  const page = text('api/classes/_sdrx_event.index.EventLoop.html');
  for (const source of ['io', 'time', 'signal', 'child', 'inotify', 'defer', 'post', 'exiting', 'memoryPressure']) {
    t.match(page, `id="${source.toLowerCase()}"`, `${source} is on the page`);
  }
  t.notMatch(page, /sources\/[a-z-]+\.ts/, 'it refers to no file that its reader has not');
  t.match(page, 'interfaces/_sdrx_linux.SignalInfo.html', "it refers to another package's types");
  t.end();
});

t.test('each page of the repository is in the navigation, by its title, and has it', (t) => {
  const titles = markdownPages()
    .filter((page) => !NOT_IN_SITE.includes(page) && page !== 'docs/README.md')
    .map((page) => /^# (.*)$/m.exec(readFileSync(join(root, page), 'utf8'))?.[1]);
  t.strictSame([...navigation.values()].sort(), titles.sort());
  for (const [address, title] of navigation) {
    const page = plain(text(address));
    t.match(page, `<title>${title} | sdrx</title>`, address);
    t.match(
      page,
      new RegExp(`<h1[^>]*>.*${title.slice(0, 8).replaceAll(/[()]/g, '.')}`),
      `${address} begins with its title`,
    );
    t.match(page, /aria-current="page"/, `${address} shows where one is`);
  }
  t.end();
});

t.test('all links of the site lead somewhere, to headings, too', (t) => {
  const known = new Set(readdirSync(folder.path, { recursive: true, encoding: 'utf8' }));
  const anchors = new Map(
    html.map((file) => [file, new Set([...text(file).matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))]),
  );
  const dead = html.flatMap((file) =>
    [...text(file).matchAll(/ (?:href|src)="([^"]*)"/g)].flatMap(([, link = '']) => {
      if (/^(https?:|data:|#$)/.test(link)) return [];
      const [path = '', anchor] = decodeURI(plain(link)).split('#');
      const target = path === '' ? file : join(dirname(file), path.replace(/\?.*$/, '')).replace(/\/$/, '/index.html');
      const isThere =
        known.has(target) && (anchor === undefined || !target.endsWith('.html') || anchors.get(target)?.has(anchor));
      return isThere ? [] : [`${file}: ${link}`];
    }),
  );
  t.ok(html.length > 500, `${html.length} pages`);
  t.strictSame(dead, []);
  t.end();
});

t.test('it needs nothing of other machines', (t) => {
  const loaded = html.flatMap(
    (file) => text(file).match(/<(?:script|link|img)[^>]* (?:src|href)="(?:https?:)?\/\/[^"]*"/g) ?? [],
  );
  t.strictSame(loaded, []);
  t.notMatch(text('assets/custom.css'), /url\(|@import/);
  t.end();
});

t.test('all pictures of docs are shown on a page', (t) => {
  const pictures = readdirSync(docs, { recursive: true, encoding: 'utf8' }).filter(
    (file) => /\.svg$/.test(file) && !/node_modules|^theme|^site/.test(file),
  );
  t.ok(pictures.length >= 4);
  const pages = markdownPages().map((page) => readFileSync(join(root, page), 'utf8'));
  for (const picture of pictures)
    t.ok(
      pages.some((page) => page.includes(`](${picture})`)),
      picture,
    );
  t.end();
});

const program = browserProgram();

t.test(
  'a browser shows every page without a complaint, and none is wider than a phone',
  program === undefined ? { skip: 'no browser is installed here: apt-get install chromium' } : {},
  async (t) => {
    await using server = await serveFolder(folder.path);
    const browser = await Browser.start(program ?? '');
    t.teardown(() => browser.end());
    const api = ['api/modules/_sdrx_event.index.html', 'api/classes/_sdrx_event.index.EventLoop.html'];
    for (const address of ['index.html', ...navigation.keys(), ...api]) {
      for (const look of SDRX_SCREENSHOTS === undefined ? [PHONE] : [PHONE, DESKTOP]) {
        await browser.open(`${server.url}${address}`, look);
        const [beyond, broken] = (await browser.evaluate(FAULTS)) as [number, readonly string[]];
        t.ok(beyond <= 0, `${address} fits, ${look.name}`);
        t.strictSame(broken, [], `${address} has its pictures`);
        if (SDRX_SCREENSHOTS !== undefined)
          await browser.screenshot(join(SDRX_SCREENSHOTS, look.name, `${address.replaceAll('/', '_')}.png`));
      }
    }
    await browser.open(`${server.url}serve.html`, DESKTOP);
    const found = (await browser.evaluate(SEARCH)) as readonly string[];
    for (const title of ['Restart without loss', '@sdrx/event.index.RestartError'])
      t.ok(found.includes(title), `the search for restart finds ${title}`);
    t.strictSame(browser.complaints, []);
  },
);

/** By how much the page is too wide, and which of its pictures are not shown. */
const FAULTS = `[
  document.documentElement.scrollWidth - innerWidth,
  [...document.images].filter((image) => !image.naturalWidth).map((image) => image.src),
]`;

/** Looks for a word; resolves with the titles that are found. The index is loaded only now, and the field waits for the end of typing. */
const SEARCH = `(async () => {
  document.querySelector('#tsd-search-trigger').click();
  const input = document.querySelector('#tsd-search-input');
  const results = () => [...document.querySelectorAll('#tsd-search-results li')].map((result) => result.textContent.trim());
  for (let attempt = 0; attempt < 60 && results().length === 0; attempt++) {
    input.value = 'restart';
    input.dispatchEvent(new Event('input'));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  return results();
})()`;

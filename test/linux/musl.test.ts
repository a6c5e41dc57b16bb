import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

/** Where Debian's package `musl` has that C library; its loader and itself are one file. */
const MUSL = `/lib/ld-musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`;

/** What the sources declare of the C library, and what they can do without. */
function declared(): { readonly needed: Set<string>; readonly optional: Set<string> } {
  const found = { needed: new Set<string>(), optional: new Set<string>() };
  for (const name of ['linux', 'event', 'varlink', 'bpf', 'daemon']) {
    const folder = fileURLToPath(new URL(`../../../packages/${name}/src/`, import.meta.url));
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts')) continue;
      const text = readFileSync(`${folder}/${file}`, 'utf8');
      const calls =
        /\b(libc|libcIfPresent|descriptorCall|descriptorPairCall|library\.func|functionAddress)(?:<[^;]*?>)?\(\s*'([^']*)'/g;
      for (const [, how, prototype = ''] of text.matchAll(calls)) {
        const [, called = prototype] = /(\w+)\(/.exec(prototype) ?? [];
        found[how === 'libcIfPresent' ? 'optional' : 'needed'].add(called);
      }
    }
  }
  return found;
}

const { needed, optional } = declared();
/** libuv's and libbpf's. */
const ofOthers = /^(?:uv_|libbpf_|bpf_)/;

t.test('what is looked up of the C library is in musl, or done without', { skip: !existsSync(MUSL) }, (t) => {
  const table = execFileSync('readelf', ['--dyn-syms', '--wide', MUSL], { encoding: 'latin1' });
  const symbols = new Set(table.split('\n').map((line) => line.trim().split(/\s+/)[7]));
  const missing = (names: Set<string>) =>
    [...names].filter((name) => !ofOthers.test(name) && !symbols.has(name)).sort();
  t.ok(needed.size > 60);
  t.strictSame(missing(needed), []);
  t.strictSame(missing(optional), ['malloc_trim', 'strerrordesc_np']);
  t.end();
});

t.test('where the C library is another one the library loads, and does the same', (t) => {
  const program = programPath('./programs/other-c-library.js', import.meta.url);
  const { output, exit } = runNode([program, ...optional]);
  t.match(exit, { code: 'exited', status: 0 });
  t.strictSame(JSON.parse(output), {
    asked: ['strerrordesc_np'],
    message: "ENOENT: no such file or directory, open '/missing'",
    unknown: 'E41: unknown error, call',
    child: 7,
    open: false,
    inode: true,
  });
  t.end();
});

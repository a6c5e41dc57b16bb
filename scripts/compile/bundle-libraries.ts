import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { build, type Plugin } from 'esbuild';
import { root } from '../support/root.js';

/** Where each name that rxjs exports is defined, as it says itself. */
function rxjsExports(): Map<string, { name: string; from: string }> {
  const require = createRequire(`${root}/packages/event/package.json`);
  const types = readFileSync(require.resolve('rxjs').replace(/cjs\/index\.js$/, 'types/index.d.ts'), 'utf8');
  return new Map(
    [...types.matchAll(/export \{([^}]*)\} from '\.\/(internal\/[^']+)'/g)].flatMap(([, names = '', from = '']) =>
      names.split(',').map((text) => {
        const [name = '', alias = name] = text.trim().split(' as ');
        return [alias, { name, from }] as const;
      }),
    ),
  );
}

/**
 * Has a library load those modules of rxjs that it needs, and no others: all together are read for longer than all else. They are the
 * same ones that a program gets by `rxjs`. Functions are loaded when they are first called, classes and constants at once.
 */
function neededRxjs(): Plugin {
  const definitions = [...rxjsExports()].map(([alias, { name, from }]) => {
    const load = `internal('./${from.replace('internal/', '')}')`;
    return /^[a-z]/.test(alias)
      ? `export const ${alias} = (...args) => ${load}.${name}(...args);`
      : `export const ${alias} = /* @__PURE__ */ ((module) => module.${name})(/* @__PURE__ */ ${load});`;
  });
  // By its real path: what is looked up by symbolic links, after somebody has looked at a socket, is sometimes found twice, as
  // fs.realpathSync() then leaves the links in a path of which it knows a part.
  const head = `import { createRequire } from 'node:module';
const internal = /* @__PURE__ */ createRequire(/* @__PURE__ */ createRequire(import.meta.url).resolve('rxjs/internal/Observable'));\n`;
  return {
    name: 'needed-rxjs',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^rxjs$/ }, () => ({ path: 'rxjs', namespace: 'needed-rxjs', sideEffects: false }));
      onLoad({ filter: /.*/, namespace: 'needed-rxjs' }, () => ({ contents: head + definitions.join('\n') }));
    },
  };
}

/**
 * Makes lib/index.js of each library, which Node reads several times faster than the modules in dist/. Bundlers take those, by the
 * condition `module`, and leave out what they do not need.
 *
 * @param names of packages
 */
export async function bundleLibraries(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await build({
      absWorkingDir: `${root}/packages/${name}`,
      entryPoints: ['dist/index.js'],
      outfile: 'lib/index.js',
      bundle: true,
      format: 'esm',
      target: 'node20.19',
      platform: 'node',
      packages: 'external',
      plugins: [neededRxjs()],
      minifyWhitespace: true,
      sourcemap: true,
      logLevel: 'warning',
    });
  }
}

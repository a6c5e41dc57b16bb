import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type koffi from 'koffi';

/** From a node_modules folder. Only the kernel finds it, by a link that koffi may be: the path must stay as it is. */
const FILE = `koffi/../@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`;

/**
 * koffi as its native file is. The programs are bundled with this in its place (`scripts/compile/bundle-daemon.ts`): its JavaScript
 * looks for that file, which takes four times as long as to load it, and adds warnings about functions that nobody should use any more.
 * Where the file is not beside koffi, or is made for another C library, koffi finds the right one itself.
 */
export const nativeKoffi: typeof koffi = load();

function load(): typeof koffi {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const packages = `${folder}/node_modules`;
    if (existsSync(`${packages}/koffi`)) return loadFrom(packages);
    if (folder === dirname(folder)) return createRequire(import.meta.url)('koffi');
  }
}

function loadFrom(packages: string): typeof koffi {
  const module = { exports: {} as typeof koffi };
  try {
    process.dlopen(module, `${packages}/${FILE}`);
    return module.exports;
  } catch {
    return createRequire(import.meta.url)('koffi');
  }
}

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Path } from '../program/command-line.js';
import { RUNTIME_DIRECTORY } from '../program/runtime-directory.js';
import { Registry } from '../registry/registry.js';

/** The option of all commands that read the registry. */
export const RUNTIME_DIRECTORY_OPTION = {
  'runtime-directory': { value: 'DIR', codec: Path, description: `Where the registry is (${RUNTIME_DIRECTORY})` },
} as const;

/** The folder that is meant. */
export function runtimeDirectoryOf(values: { readonly 'runtime-directory'?: string }): string {
  return resolve(values['runtime-directory'] ?? RUNTIME_DIRECTORY);
}

/** Opens the registry to be read. @throws Error where there is none */
export function viewRegistry(runtimeDirectory: string): Registry {
  const registry = Registry.view(runtimeDirectory);
  if (existsSync(registry.directory)) return registry;
  registry[Symbol.dispose]();
  throw new Error(`there is no registry, ${registry.directory}: no daemon has run since the machine was started`);
}

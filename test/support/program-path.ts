import { fileURLToPath } from 'node:url';

/** The path of another compiled file, given relative to the module whose import.meta.url is `base`. */
export function programPath(name: string, base: string): string {
  return fileURLToPath(new URL(name, base));
}

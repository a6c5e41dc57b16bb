import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { Folder } from './folder.js';
import { programPath } from './program-path.js';

/** What the programs say that they are. */
const VERSION = '0.1.0';

type Program = 'nsresourced' | 'nsresourcework';

const PACKAGE = programPath('../../../packages/daemon', import.meta.url);

/** A copy of the daemon's programs, which can be replaced as an upgrade does it. */
export class InstalledDaemon implements Disposable {
  readonly #folder = new Folder();

  constructor() {
    mkdirSync(this.#folder.join('bin'));
    symlinkSync(`${PACKAGE}/node_modules`, this.#folder.join('node_modules'));
    this.restore();
  }

  /** The manager's program. */
  get path(): string {
    return this.#folder.join('bin/nsresourced');
  }

  /** Has all programs as they were built. */
  restore(): void {
    for (const name of readdirSync(`${PACKAGE}/bin`)) {
      copyFileSync(`${PACKAGE}/bin/${name}`, this.#folder.join(name));
      renameSync(this.#folder.join(name), this.#folder.join('bin', name));
    }
  }

  /** Puts another program, or other code, in place of one. */
  replace(name: Program | `${Program}.js`, text: string): void {
    writeFileSync(this.#folder.join(name), text, { mode: 0o755 });
    renameSync(this.#folder.join(name), this.#folder.join('bin', name));
  }

  /** Makes all of them another release. */
  upgrade(version: string): void {
    for (const name of ['nsresourced', 'nsresourcework'] as const) {
      const text = readFileSync(`${PACKAGE}/bin/${name}.js`, 'utf8');
      // The bundler may have given the constant a number.
      const upgraded = text.replace(new RegExp(`(VERSION\\d*)="${VERSION}"`), `$1="${version}"`);
      if (upgraded === text) throw new Error(`${name} does not say that it is ${VERSION}`);
      this.replace(`${name}.js`, upgraded);
      this.replace(name, readFileSync(`${PACKAGE}/bin/${name}`, 'utf8'));
    }
  }

  /** Has one run a statement first. */
  prefix(name: Program, statement: string): void {
    const text = readFileSync(`${PACKAGE}/bin/${name}`, 'utf8');
    this.replace(name, text.replace('\n', `\n${statement}\n`));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

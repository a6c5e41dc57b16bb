import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child.js';
import type { Folder } from './folder.js';
import { run } from './run.js';

/** Its own /run is a folder of ours, so that nothing is written to the tree, which others use, too. */
const MOUNT = `
  mount --bind "$2" "$1/run"
  for name in proc sys dev; do mount --rbind "/$name" "$1/$name"; done
  exec chroot "$1" sh -c 'echo && exec cat'`;

/** A newer Debian's userland, to run programs in as root. */
export class Debian implements AsyncDisposable {
  private constructor(
    readonly holder: Child,
    /** What is /run inside. */
    readonly run: string,
  ) {}

  /** SDRX_DEBIAN_TREE may name its folder; else it is made, once a user, which takes a minute. */
  static async enter(folder: Folder): Promise<Debian> {
    const script = fileURLToPath(new URL('../../../scripts/run.js', import.meta.url));
    const tree = process.env.SDRX_DEBIAN_TREE || (await run([process.execPath, script, 'debian/tree'])).trim();
    const runFolder = folder.join('debian-run');
    mkdirSync(runFolder);
    const unshare = ['unshare', '--mount', '--propagation', 'private'];
    const holder = new Child([...unshare, 'sh', '-e', '-c', MOUNT, 'sh', tree, runFolder]);
    await holder.line();
    return new Debian(holder, runFolder);
  }

  /** The command line that runs a program inside. Costs a millisecond, for nsenter(1). */
  command(...command: readonly string[]): string[] {
    return ['nsenter', `--target=${this.holder.pid}`, '--mount', '--root', '--wd', ...command];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.holder[Symbol.asyncDispose]();
  }
}

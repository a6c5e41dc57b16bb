import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { libc } from '@sdrx/linux';
import { Folder } from './folder.js';
import { programPath } from './program-path.js';

const MNT_DETACH = 2;

const umount = libc<(target: string, flags: number) => number>('int umount2(const char *, int)');

/** Why no FUSE file system can be mounted here; false if one can. */
export const noFuse: string | false =
  process.getuid?.() !== 0
    ? 'only root can mount'
    : existsSync('/dev/fuse')
      ? false
      : 'there is no /dev/fuse; the virtual machines have one';

/** A mounted file system whose server, a process of its own, never answers FLUSH. */
export class FuseMount {
  readonly #folder: Folder;
  readonly #server: ChildProcess;

  private constructor(folder: Folder, server: ChildProcess) {
    this.#folder = folder;
    this.#server = server;
  }

  static async mount(): Promise<FuseMount> {
    const folder = new Folder();
    const server = spawn(process.execPath, [programPath('./fuse-server.js', import.meta.url), folder.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [said] = await once(server.stdout as NodeJS.ReadableStream, 'data');
    if (String(said) !== 'mounted\n') throw new Error(String(said));
    return new FuseMount(folder, server);
  }

  /** Whoever closes a descriptor of it hangs, and can't be killed, until `release`. */
  get file(): string {
    return this.#folder.join('file');
  }

  /** Has the server answer nothing at all. */
  stop(): void {
    this.#server.kill('SIGSTOP');
  }

  /** Ends the server, which lets all go on who hang. */
  async release(): Promise<void> {
    umount(this.#folder.path, MNT_DETACH);
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      const exited = once(this.#server, 'exit');
      this.#server.kill('SIGKILL');
      await exited;
    }
    this.#folder[Symbol.dispose]();
  }
}

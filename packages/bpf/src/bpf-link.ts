import { checkInstance, checkText, Fd } from '@sdrx/linux';
import { bpfInfo } from './bpf-call.js';
import { BpfProgram } from './bpf-program.js';
import { openPinned, pin } from './pin.js';

/** How a link that ends is taken apart; BPF_LINK_TYPE_PERF_EVENT of bpf(2). */
export const LINK_TYPE_PERF_EVENT = 7;

/** What libbpf holds of a link that it made. */
export interface LibbpfLink {
  /** Frees it; unless `keep`, after detaching it. */
  free(keep: boolean): void;
}

/** A program's attachment to what it is called by. It ends when the last descriptor of it is closed and no name is left. */
export class BpfLink implements Disposable {
  readonly #fd: Fd;
  readonly #libbpf: LibbpfLink | undefined;
  /** BPF_LINK_TYPE_* of bpf(2). */
  readonly type: number;
  /** The id of the program. */
  readonly programId: number;
  #pinned = false;

  /** Takes over `fd`, a descriptor of a link, and what libbpf has of it. */
  constructor(fd: Fd, libbpf?: LibbpfLink) {
    checkInstance('fd', fd, Fd);
    this.#fd = fd;
    this.#libbpf = libbpf;
    try {
      const info = bpfInfo(fd.number, 12);
      this.type = info.readUInt32LE(0);
      this.programId = info.readUInt32LE(8);
    } catch (error) {
      fd.close();
      libbpf?.free(false);
      throw error;
    }
  }

  /** Opens a link that is pinned at `path`. @throws ENOENT, EACCES, and EINVAL if something else is pinned there */
  static openPinned(path: string): BpfLink {
    checkText('path', path);
    return new BpfLink(openPinned(path));
  }

  /** Its descriptor, −1 after `[Symbol.dispose]`. */
  get fd(): number {
    return this.#fd.number;
  }

  /** The program that is attached. */
  program(): BpfProgram {
    return BpfProgram.byId(this.programId);
  }

  /**
   * Names it in a BPF file system, which keeps the program attached when this process has ended. What has the name is
   * replaced in one step, so that of two links one is attached at any time.
   *
   * Of a link to a kprobe or a tracepoint one descriptor then stays open in this process: libbpf would detach it.
   */
  pin(path: string): void {
    checkText('path', path);
    pin(this.fd, path);
    this.#pinned = true;
  }

  /** Detaches the program, unless the link is pinned. */
  [Symbol.dispose](): void {
    if (this.fd === -1) return;
    this.#fd.close();
    this.#libbpf?.free(this.#pinned && this.type === LINK_TYPE_PERF_EVENT);
  }
}

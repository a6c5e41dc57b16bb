import { addressOf, allocate, checkBytes, checkInstance, checkUint32, Fd } from '@sdrx/linux';
import { BPF_PROG_GET_FD_BY_ID, BPF_PROG_TEST_RUN, bpf, bpfAttributes, bpfInfo, bpfName } from './bpf-call.js';

const PROGRAM_INFO_SIZE = 80;

/** What `BpfProgram.run` ended with. */
export interface BpfRun {
  /** What the program returned, 32 bits. */
  readonly result: number;
  /** What it made of its input. */
  readonly output: Buffer;
}

/** A program in the kernel. */
export class BpfProgram implements Disposable {
  readonly #fd: Fd;
  /** The kernel's number for it. */
  readonly id: number;
  /** BPF_PROG_TYPE_* of bpf(2). */
  readonly type: number;
  /** As far as the kernel keeps it, 15 bytes. */
  readonly name: string;
  /** The same for programs of the same instructions. */
  readonly tag: string;

  /** Takes over `fd`, a descriptor of a program. @throws EBADF, and EINVAL for another descriptor */
  constructor(fd: Fd) {
    checkInstance('fd', fd, Fd);
    this.#fd = fd;
    try {
      const info = bpfInfo(fd.number, PROGRAM_INFO_SIZE);
      this.type = info.readUInt32LE(0);
      this.id = info.readUInt32LE(4);
      this.tag = info.toString('hex', 8, 16);
      this.name = bpfName(info, 64);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Opens a program by its id. bpf(2) BPF_PROG_GET_FD_BY_ID. @throws ENOENT, EPERM */
  static byId(id: number): BpfProgram {
    checkUint32('id', id);
    const attributes = bpfAttributes();
    attributes.writeUInt32LE(id, 0);
    return new BpfProgram(new Fd(bpf(BPF_PROG_GET_FD_BY_ID, attributes, 'PROG_GET_FD_BY_ID', id)));
  }

  /** Its descriptor, for those that programs are attached by (SO_ATTACH_BPF, for one); −1 after `[Symbol.dispose]`. */
  get fd(): number {
    return this.#fd.number;
  }

  /** The ids of the maps that it works with. */
  maps(): number[] {
    const count = bpfInfo(this.fd, PROGRAM_INFO_SIZE).readUInt32LE(52);
    const ids = allocate(count * 4);
    bpfInfo(this.fd, PROGRAM_INFO_SIZE, (info) => {
      info.writeUInt32LE(count, 52);
      info.writeBigUInt64LE(addressOf(ids), 56);
    });
    return Array.from({ length: count }, (_, index) => ids.readUInt32LE(index * 4));
  }

  /**
   * Runs it once on `input`, a packet of at least 14 bytes, instead of on what happens. bpf(2) BPF_PROG_TEST_RUN.
   * @throws EINVAL for a packet that is too short, and EOPNOTSUPP for kinds of programs that can't be run so
   */
  run(input: Uint8Array): BpfRun {
    checkBytes('input', input);
    const packet = allocate(input.byteLength);
    packet.set(input);
    const output = allocate(input.byteLength);
    const attributes = bpfAttributes();
    attributes.writeInt32LE(this.fd, 0);
    attributes.writeUInt32LE(packet.byteLength, 8);
    attributes.writeUInt32LE(output.byteLength, 12);
    attributes.writeBigUInt64LE(addressOf(packet), 16);
    attributes.writeBigUInt64LE(addressOf(output), 24);
    attributes.writeUInt32LE(1, 32);
    bpf(BPF_PROG_TEST_RUN, attributes, 'PROG_TEST_RUN', this.name);
    return { result: attributes.readUInt32LE(4), output: output.subarray(0, attributes.readUInt32LE(12)) };
  }

  /** Closes it. What it is attached to and names keep it in the kernel. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

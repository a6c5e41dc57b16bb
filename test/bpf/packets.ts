import { existsSync } from 'node:fs';
import { BpfObject, type BpfObjectOptions } from '@sdrx/bpf';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';

/** The object file of the tests' own programs. */
export const packets = programPath('./programs/packets.bpf.o', import.meta.url);

/** Options for a test that loads programs. */
export const needsPrograms = existsSync(packets)
  ? needsRoot
  : { skip: 'BPF programs are not compiled: clang is missing, the set-up installs it on Debian as root' };

export const WRITE = 0;
export const WRITE_NOTHING = 1;
export const GIVE_UP = 2;
export const COUNT = 3;

/** The kernel takes the first bytes of a packet for its header. */
const ETHERNET_HEADER = 14;

/** Loads the program that writes what it is run on into a ring buffer. */
export function loadPackets(options: BpfObjectOptions = {}): BpfObject {
  return BpfObject.load(packets, { programs: ['packet'], ...options });
}

/** Runs it. @returns what it returned, as a signed number */
export function run(object: BpfObject, command: number, content: Uint8Array = Buffer.alloc(0)): number {
  const packet = Buffer.alloc(ETHERNET_HEADER + 4 + content.byteLength);
  packet.writeUInt32LE(command, ETHERNET_HEADER);
  packet.set(content, ETHERNET_HEADER + 4);
  return object.program('packet').run(packet).result | 0;
}

/** Writes a record. @returns whether there was room for it */
export function writeRecord(object: BpfObject, content: Uint8Array | string): boolean {
  return run(object, WRITE, Buffer.from(content)) === 0;
}

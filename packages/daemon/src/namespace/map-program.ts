import { fchmodSync, openSync } from 'node:fs';
import { CLONE_NEWUSER, Fd, memoryFile, O_PATH, write } from '@sdrx/linux';

/*
 * The program is an ELF file of one segment, elf(5): a loop in machine code that makes the system calls of a table, one after the
 * other, and ends the process when one fails.
 */

/** The descriptors that the program begins with, all that there are below `UID_MAP`. */
export const SOCKET = 4;
export const NAMESPACE = 5;
export const DIRECTORY = 6;

/** What it opens gets the lowest numbers that are free. */
const UID_MAP = 7;
const GID_MAP = 8;

/** Where it is in memory. A multiple of every size of pages. */
const BASE = 0x40_0000n;

const ELF_HEADER = 64;
const PROGRAM_HEADER = 56;
const PAGE = 0x1_0000n;

const O_WRONLY = 1;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

interface Machine {
  /** Of the ELF header. */
  readonly number: number;
  readonly calls: Readonly<Record<'close_range' | 'setns' | 'openat' | 'sendmsg' | 'exit_group', number>>;
  /** The loop, of which the address of the table is a part. */
  readonly code: (table: bigint) => Buffer;
}

const MACHINES: Readonly<Record<string, Machine>> = {
  x64: {
    number: 62,
    calls: { close_range: 436, setns: 308, openat: 257, sendmsg: 46, exit_group: 231 },
    code: (table) =>
      Buffer.concat([
        Buffer.from('48bb', 'hex'), // mov rbx, table
        word(table),
        Buffer.from(
          // next:
          '488b03' + // mov rax, [rbx]
            '488b7b08' + // mov rdi, [rbx+8]
            '488b7310' + // mov rsi, [rbx+16]
            '488b5318' + // mov rdx, [rbx+24]
            '0f05' + // syscall
            '4883c320' + // add rbx, 32
            '4885c0' + // test rax, rax
            '79e6' + // jns next
            'bf01000000' + // mov edi, 1
            'b8e7000000' + // mov eax, 231     exit_group
            '0f05', // syscall
          'hex',
        ),
      ]),
  },
  arm64: {
    number: 183,
    calls: { close_range: 436, setns: 268, openat: 56, sendmsg: 211, exit_group: 94 },
    code: (table) =>
      Buffer.concat([
        ...[
          0x5800_0173, // ldr x19, table
          // next:
          0xf940_0268, // ldr x8, [x19]
          0xf940_0660, // ldr x0, [x19, #8]
          0xf940_0a61, // ldr x1, [x19, #16]
          0xf940_0e62, // ldr x2, [x19, #24]
          0xd400_0001, // svc 0
          0x9100_8273, // add x19, x19, #32
          0xb6ff_ff40, // tbz x0, #63, next
          0xd280_0020, // mov x0, #1
          0xd280_0bc8, // mov x8, #94          exit_group
          0xd400_0001, // svc 0
        ].map(half),
        // table:
        word(table),
      ]),
  },
};

/**
 * A program that enters the user namespace `NAMESPACE`, opens the maps of the process whose directory in /proc is
 * `DIRECTORY`, and sends the two descriptors over the socket `SOCKET` with a number. It may be executed but not read, so that its owner
 * can't have it do something else.
 * @param number 32 bits
 * Throws Error on machines that there is no code for, and as `memoryFile`.
 */
export function mapProgram(number: number): Fd {
  using file = memoryFile('open-maps');
  write(file.number, mapProgramBytes(number));
  fchmodSync(file.number, 0o111);
  // A file that is open for writing can't be executed.
  return new Fd(openSync(`/proc/self/fd/${file.number}`, O_PATH));
}

/** The program's file. */
export function mapProgramBytes(number: number, architecture: string = process.arch): Buffer {
  const machine = MACHINES[architecture];
  if (machine === undefined) throw new Error(`the maps of nested namespaces can't be written on ${architecture}`);
  const { calls, code } = machine;
  const data = new Data(ELF_HEADER + PROGRAM_HEADER + Math.ceil(code(0n).length / 8) * 8);
  const [uidMap, gidMap] = [data.add(Buffer.from('uid_map\0')), data.add(Buffer.from('gid_map\0'))];
  const control = data.add(word(24), half(SOL_SOCKET), half(SCM_RIGHTS), half(UID_MAP), half(GID_MAP));
  const payload = data.add(half(number));
  const vector = data.add(word(payload), word(4));
  const message = data.add(word(0), word(0), word(vector), word(1), word(control), word(24), word(0));
  const table = data.add(
    ...[
      [calls.close_range, UID_MAP, 0xffff_ffff, 0],
      [calls.setns, NAMESPACE, CLONE_NEWUSER, 0],
      [calls.openat, DIRECTORY, uidMap, O_WRONLY],
      [calls.openat, DIRECTORY, gidMap, O_WRONLY],
      [calls.sendmsg, SOCKET, message, MSG_NOSIGNAL],
      [calls.exit_group, 0, 0, 0],
    ]
      .flat()
      .map(word),
  );
  const begin = ELF_HEADER + PROGRAM_HEADER;
  const instructions = code(table);
  const padding = Buffer.alloc(data.first - begin - instructions.length);
  const size = BigInt(data.end);
  const elf = Buffer.concat([
    // 64 bits, little-endian, version 1; an executable file whose program header follows.
    Buffer.from('7f454c4602010100'.padEnd(32, '0'), 'hex'),
    ...[2, machine.number].map(quarter),
    half(1),
    word(BASE + BigInt(begin)),
    ...[ELF_HEADER, 0].map(word),
    half(0),
    ...[ELF_HEADER, PROGRAM_HEADER, 1, 0, 0, 0].map(quarter),
  ]);
  // All of the file, to be read and executed.
  const segment = Buffer.concat([...[1, 5].map(half), ...[0n, BASE, BASE, size, size, PAGE].map(word)]);
  return Buffer.concat([elf, segment, instructions, padding, ...data.parts]);
}

/** What follows the code, each part at a multiple of eight bytes. */
class Data {
  readonly parts: Buffer[] = [];
  #end: number;

  /** @param first where it begins in the file */
  constructor(readonly first: number) {
    this.#end = first;
  }

  get end(): number {
    return this.#end;
  }

  /** @returns its address */
  add(...bytes: readonly Buffer[]): bigint {
    const address = BASE + BigInt(this.#end);
    const part = Buffer.concat(bytes);
    const padded = Buffer.concat([part, Buffer.alloc(-part.length & 7)]);
    this.parts.push(padded);
    this.#end += padded.length;
    return address;
  }
}

function word(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function half(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function quarter(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

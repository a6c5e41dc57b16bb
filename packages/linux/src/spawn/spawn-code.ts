import { loadCode } from '../memory/load-code.js';
import { type Address, threadEnd } from '../thread/thread-end.js';
import { sharedCode } from '../thread/thread-poll.js';

/*
 * What runs in a new process until it is its program. It has the memory of this one, whose other threads go on, so it can be
 * neither JavaScript nor anything of the C library. It is a loop in machine code that makes the system calls of a list, one after
 * the other; `spawn-call-list.ts` writes the list.
 *
 * Before the first call it writes its process id in decimal, which nobody else knows at that time.
 *
 * The list, in words of 64 bits: the address of the report, the address for the id, then the calls. A call has CALL_WORDS of them:
 * its number, six arguments, where its result goes, and a table with a byte for each error number. When the call fails and
 * the byte of its error is 0, the report gets the call's address and the negated error number, and the process ends.
 */

export const HEADER_WORDS = 2;
export const CALL_WORDS = 9;

/** Where in a call its arguments begin, where the address of its result is, and that of its table; in words. */
export const ARGUMENTS_AT = 1;
export const RESULT_AT = 7;
export const TABLE_AT = 8;

/** The kernel's error numbers are below this. */
export const ERRORS = 4096;

/** The name of the machine code's file. */
const CODE = 'sdrx-spawn';

let loaded: Address | undefined;

/** The address of the code, `int code(void *list)`, which does not return. All threads share it. */
export function spawnCode(): Address {
  loaded ??= threadEnd === undefined ? loadCode(machineCode(), CODE) : sharedCode(machineCode(), CODE);
  return loaded;
}

function machineCode(): Buffer {
  switch (process.arch) {
    case 'x64':
      return Buffer.from(
        '4889fb' + // mov rbx, rdi                 list
          'b827000000' + // mov eax, 39            getpid
          '0f05' + // syscall
          '488b7308' + // mov rsi, [rbx+8]
          'b90a000000' + // mov ecx, 10
          '89c7' + // mov edi, eax
          // count: a byte for each digit
          '48ffc6' + // inc rsi
          '31d2' + // xor edx, edx
          'f7f1' + // div ecx
          '85c0' + // test eax, eax
          '75f5' + // jne count
          '89f8' + // mov eax, edi
          // digit: from the last to the first
          '31d2' + // xor edx, edx
          'f7f1' + // div ecx
          '80c230' + // add dl, '0'
          '48ffce' + // dec rsi
          '8816' + // mov [rsi], dl
          '85c0' + // test eax, eax
          '75f0' + // jne digit
          '488d6b10' + // lea rbp, [rbx+16]        first call
          // next:
          '488b4500' + // mov rax, [rbp]
          '488b7d08' + // mov rdi, [rbp+8]
          '488b7510' + // mov rsi, [rbp+16]
          '488b5518' + // mov rdx, [rbp+24]
          '4c8b5520' + // mov r10, [rbp+32]
          '4c8b4528' + // mov r8, [rbp+40]
          '4c8b4d30' + // mov r9, [rbp+48]
          '0f05' + // syscall
          '488b4d38' + // mov rcx, [rbp+56]
          '488901' + // mov [rcx], rax             result
          '483d00f0ffff' + // cmp rax, -4096
          '760c' + // jbe done
          '488b4d40' + // mov rcx, [rbp+64]
          '4829c1' + // sub rcx, rax
          '803900' + // cmp byte [rcx], 0          table[error]
          '7406' + // je failed
          // done:
          '4883c548' + // add rbp, 72
          'ebc1' + // jmp next
          // failed:
          '488b0b' + // mov rcx, [rbx]             report
          '488929' + // mov [rcx], rbp
          '48894108' + // mov [rcx+8], rax
          'bf7f000000' + // mov edi, 127
          'b8e7000000' + // mov eax, 231           exit_group
          '0f05', // syscall
        'hex',
      );
    case 'arm64': {
      const instructions = [
        0xaa0003f3, // mov x19, x0                 list
        0xd2801588, // mov x8, #172                getpid
        0xd4000001, // svc 0
        0xf9400661, // ldr x1, [x19, #8]
        0x52800142, // mov w2, #10
        0x2a0003e3, // mov w3, w0
        // count: a byte for each digit
        0x91000421, // add x1, x1, #1
        0x1ac20863, // udiv w3, w3, w2
        0x35ffffc3, // cbnz w3, count
        // digit: from the last to the first
        0x1ac20803, // udiv w3, w0, w2
        0x1b028064, // msub w4, w3, w2, w0
        0x1100c084, // add w4, w4, #'0'
        0x381ffc24, // strb w4, [x1, #-1]!
        0x2a0303e0, // mov w0, w3
        0x35ffff60, // cbnz w0, digit
        0x91004274, // add x20, x19, #16           first call
        // next:
        0xf9400288, // ldr x8, [x20]
        0xf9400680, // ldr x0, [x20, #8]
        0xf9400a81, // ldr x1, [x20, #16]
        0xf9400e82, // ldr x2, [x20, #24]
        0xf9401283, // ldr x3, [x20, #32]
        0xf9401684, // ldr x4, [x20, #40]
        0xf9401a85, // ldr x5, [x20, #48]
        0xd4000001, // svc 0
        0xf9401e81, // ldr x1, [x20, #56]
        0xf9000020, // str x0, [x1]                result
        0xb13ffc1f, // cmn x0, #4095
        0x540000a3, // b.cc done
        0xf9402281, // ldr x1, [x20, #64]
        0xcb000021, // sub x1, x1, x0
        0x39400021, // ldrb w1, [x1]               table[error]
        0x34000061, // cbz w1, failed
        // done:
        0x91012294, // add x20, x20, #72
        0x17ffffef, // b next
        // failed:
        0xf9400261, // ldr x1, [x19]               report
        0xf9000034, // str x20, [x1]
        0xf9000420, // str x0, [x1, #8]
        0xd2800fe0, // mov x0, #127
        0xd2800bc8, // mov x8, #94                 exit_group
        0xd4000001, // svc 0
      ];
      const code = Buffer.alloc(instructions.length * 4);
      for (const [index, instruction] of instructions.entries()) code.writeUInt32LE(instruction, index * 4);
      return code;
    }
    default:
      throw new Error(`programs can't be started on ${process.arch}: the code for that exists for x64 and arm64 only`);
  }
}

import t from 'tap';
import { disassembleArm64 } from '../support/disassemble-arm64.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

t.test('the machine code for arm64 writes the id, and makes one system call after the other', (t) => {
  const { output } = runNode([programPath('./programs/arm64-spawn.js', import.meta.url)]);
  t.strictSame(disassembleArm64(Buffer.from(output, 'hex')), [
    // int code(void *list: x0)
    'orr x19, xzr, x0',
    // getpid()
    'mov x8, #172',
    'svc #0',
    // As many bytes as there are digits, then back over them.
    'ldr x1, [x19, #8]',
    'mov w2, #10',
    'orr w3, wzr, w0',
    'add x1, x1, #1',
    'udiv w3, w3, w2',
    'cbnz w3, 0x18',
    'udiv w3, w0, w2',
    'msub w4, w3, w2, w0',
    'add w4, w4, #48',
    'strb w4, [x1, #-1]!',
    'orr w0, wzr, w3',
    'cbnz w0, 0x24',
    // The first call is behind the header.
    'add x20, x19, #16',
    'ldr x8, [x20, #0]',
    'ldr x0, [x20, #8]',
    'ldr x1, [x20, #16]',
    'ldr x2, [x20, #24]',
    'ldr x3, [x20, #32]',
    'ldr x4, [x20, #40]',
    'ldr x5, [x20, #48]',
    'svc #0',
    'ldr x1, [x20, #56]',
    'str x0, [x1, #0]',
    // No error is below −4095.
    'cmn x0, #4095',
    'b.cc 0x80',
    'ldr x1, [x20, #64]',
    'sub x1, x1, x0',
    'ldrb w1, [x1, #0]',
    'cbz w1, 0x88',
    'add x20, x20, #72',
    'b 0x40',
    'ldr x1, [x19, #0]',
    'str x20, [x1, #0]',
    'str x0, [x1, #8]',
    // exit_group(127)
    'mov x0, #127',
    'mov x8, #94',
    'svc #0',
    // What is left of the page.
    '0x0',
  ]);
  t.end();
});

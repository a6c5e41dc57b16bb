import { mapProgramBytes } from '@sdrx/daemon';
import t from 'tap';
import { disassembleArm64 } from '../support/disassemble-arm64.js';

const CODE = 120;

t.test('on arm64 it does the same as on x86-64', async (t) => {
  const program = mapProgramBytes(0x1234_5678, 'arm64');
  t.equal(program.readUInt16LE(18), 183, 'EM_AARCH64');
  t.strictSame(disassembleArm64(program.subarray(CODE, CODE + 44)), [
    'ldr x19, 0x2c',
    'ldr x8, [x19, #0]',
    'ldr x0, [x19, #8]',
    'ldr x1, [x19, #16]',
    'ldr x2, [x19, #24]',
    'svc #0',
    'add x19, x19, #32',
    'tbz x0, #63, 0x4',
    'mov x0, #1',
    'mov x8, #94',
    'svc #0',
  ]);
  t.strictSame(callsOf(program), [
    [436, 7, 0xffff_ffff],
    [268, 5, 0x1000_0000],
    [56, 6],
    [56, 6],
    [211, 4],
    [94, 0],
  ]);
});

t.test('it makes these calls', async (t) => {
  const program = mapProgramBytes(0x1234_5678, 'x64');
  t.equal(program.readUInt16LE(18), 62, 'EM_X86_64');
  t.strictSame(callsOf(program), [
    [436, 7, 0xffff_ffff],
    [308, 5, 0x1000_0000],
    [257, 6],
    [257, 6],
    [46, 4],
    [231, 0],
  ]);
});

t.test('there is none for other machines', async (t) => {
  t.throws(() => mapProgramBytes(1, 'riscv64'), /can't be written on riscv64/);
});

/** The system calls of the table at the file's end, each with its descriptor, and what else is no address. */
function callsOf(program: Buffer): number[][] {
  const calls = Array.from({ length: 6 }, (_, index) => program.length - (6 - index) * 32);
  return calls.map((at) => {
    const [number, first, second] = [0, 8, 16].map((offset) => Number(program.readBigUInt64LE(at + offset)));
    const isAddress = second === 0 || (second !== undefined && second >= 0x40_0000 && second < 0x41_0000);
    return [number ?? 0, first ?? 0, ...(isAddress || second === undefined ? [] : [second])];
  });
}

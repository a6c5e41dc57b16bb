/** An instruction's bits that tell which it is, what they must be, and how it is written. */
type Encoding = readonly [mask: number, match: number, write: (word: number, address: number) => string];

const bits = (word: number, high: number, low: number): number => (word >>> low) & (2 ** (high - low + 1) - 1);
const register = (size: 'w' | 'x', word: number, low: number): string => {
  const number = bits(word, low + 4, low);
  return number === 31 ? `${size}zr` : `${size}${number}`;
};
const immediate = (word: number): number => bits(word, 20, 5) * 2 ** (16 * bits(word, 22, 21));
const half = (word: number): string => `#${bits(word, 20, 5)}, lsl #${16 * bits(word, 22, 21)}`;
const CONDITIONS = ['eq', 'ne'];
/** A number of `size` bits in two's complement. */
const signed = (value: number, size: number): number => (value >= 2 ** (size - 1) ? value - 2 ** size : value);
const at = (address: number, instructions: number): string => `0x${(address + instructions * 4).toString(16)}`;
const target = (word: number, address: number): string => at(address, signed(bits(word, 23, 5), 19));
const memory = (word: number, scale: number): string => `[${register('x', word, 5)}, #${bits(word, 21, 10) * scale}]`;

/** Of the A64 instructions in the Arm Architecture Reference Manual, chapter C6, those that we have a use for. */
const ENCODINGS: readonly Encoding[] = [
  [
    0xffc00000,
    0x51000000,
    (word) => `sub ${register('w', word, 0)}, ${register('w', word, 5)}, #${bits(word, 21, 10)}`,
  ],
  [
    0xffc00000,
    0x11000000,
    (word) => `add ${register('w', word, 0)}, ${register('w', word, 5)}, #${bits(word, 21, 10)}`,
  ],
  [
    0xffc00000,
    0x91000000,
    (word) => `add ${register('x', word, 0)}, ${register('x', word, 5)}, #${bits(word, 21, 10)}`,
  ],
  [
    0xffe0fc00,
    0xcb000000,
    (word) => `sub ${register('x', word, 0)}, ${register('x', word, 5)}, ${register('x', word, 16)}`,
  ],
  [
    0xffe0fc00,
    0x1ac00800,
    (word) => `udiv ${register('w', word, 0)}, ${register('w', word, 5)}, ${register('w', word, 16)}`,
  ],
  [
    0xffe08000,
    0x1b008000,
    (word) =>
      `msub ${register('w', word, 0)}, ${register('w', word, 5)}, ${register('w', word, 16)}, ${register('w', word, 10)}`,
  ],
  [0xff800000, 0x52800000, (word) => `mov ${register('w', word, 0)}, #${immediate(word)}`],
  [0xff800000, 0xd2800000, (word) => `mov ${register('x', word, 0)}, #${immediate(word)}`],
  [0xff800000, 0x12800000, (word) => `mov ${register('w', word, 0)}, #${~immediate(word)}`],
  [0xff800000, 0x72800000, (word) => `movk ${register('w', word, 0)}, ${half(word)}`],
  [
    0xffe0fc00,
    0x9ac02000,
    (word) => `lsl ${register('x', word, 0)}, ${register('x', word, 5)}, ${register('x', word, 16)}`,
  ],
  [
    0xffe0fc00,
    0xaa000000,
    (word) => `orr ${register('x', word, 0)}, ${register('x', word, 5)}, ${register('x', word, 16)}`,
  ],
  [
    0xffe0fc00,
    0x2a000000,
    (word) => `orr ${register('w', word, 0)}, ${register('w', word, 5)}, ${register('w', word, 16)}`,
  ],
  [0xffc00000, 0xf9400000, (word) => `ldr ${register('x', word, 0)}, ${memory(word, 8)}`],
  [0xffc00000, 0xf9000000, (word) => `str ${register('x', word, 0)}, ${memory(word, 8)}`],
  [0xffc00000, 0xb9400000, (word) => `ldr ${register('w', word, 0)}, ${memory(word, 4)}`],
  [0xffc00000, 0xb9000000, (word) => `str ${register('w', word, 0)}, ${memory(word, 4)}`],
  [0xffc00000, 0x39400000, (word) => `ldrb ${register('w', word, 0)}, ${memory(word, 1)}`],
  [
    0xffe00c00,
    0x38000c00,
    (word) => `strb ${register('w', word, 0)}, [${register('x', word, 5)}, #${signed(bits(word, 20, 12), 9)}]!`,
  ],
  [0xffc0001f, 0x3100001f, (word) => `cmn ${register('w', word, 5)}, #${bits(word, 21, 10)}`],
  [0xffc0001f, 0xb100001f, (word) => `cmn ${register('x', word, 5)}, #${bits(word, 21, 10)}`],
  [0xffe0fc1f, 0x6b00001f, (word) => `cmp ${register('w', word, 5)}, ${register('w', word, 16)}`],
  [0xff00001e, 0x54000000, (word, address) => `b.${CONDITIONS[bits(word, 0, 0)]} ${target(word, address)}`],
  [0xff00001f, 0x54000003, (word, address) => `b.cc ${target(word, address)}`],
  [0xff000000, 0x34000000, (word, address) => `cbz ${register('w', word, 0)}, ${target(word, address)}`],
  [0xff000000, 0x35000000, (word, address) => `cbnz ${register('w', word, 0)}, ${target(word, address)}`],
  [0xff000000, 0x58000000, (word, address) => `ldr ${register('x', word, 0)}, ${target(word, address)}`],
  [
    0x7f000000,
    0x36000000,
    (word, address) =>
      `tbz ${register('x', word, 0)}, #${bits(word, 31, 31) * 32 + bits(word, 23, 19)}, ${at(address, signed(bits(word, 18, 5), 14))}`,
  ],
  [0xfc000000, 0x14000000, (word, address) => `b ${at(address, signed(bits(word, 25, 0), 26))}`],
  [0xffe0001f, 0xd4000001, (word) => `svc #${bits(word, 20, 5)}`],
  [0xffffffff, 0xd65f03c0, () => 'ret'],
];

/** Machine code of arm64, an instruction a line; one that is not known is its number. */
export function disassembleArm64(code: Buffer): string[] {
  return Array.from({ length: code.length / 4 }, (_, index) => {
    const word = code.readUInt32LE(index * 4);
    const known = ENCODINGS.find(([mask, match]) => (word & mask) >>> 0 === match);
    return known === undefined ? `0x${word.toString(16)}` : known[2](word, index * 4);
  });
}

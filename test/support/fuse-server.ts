// Mounts a file system that has one file, `file`, and never answers FLUSH, hence close(2) of that file. Ends by a signal, which
// lets all go on who wait. fuse(4), linux/fuse.h
import { openSync, readSync, writeSync } from 'node:fs';
import { libc } from '@sdrx/linux';

const [, , folder = ''] = process.argv;

const mount = libc<(source: string, target: string, type: string, flags: number, data: string) => number>(
  'int mount(const char *, const char *, const char *, ulong, const char *)',
);

const LOOKUP = 1;
const FORGET = 2;
const GETATTR = 3;
const OPEN = 14;
const STATFS = 17;
const RELEASE = 18;
const FLUSH = 25;
const INIT = 26;
const INTERRUPT = 36;
const BATCH_FORGET = 42;

const ENOSYS = 38;
const ROOT = 1n;
const FILE = 2n;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const LONG = 3600n;

function attributes(node: bigint): Buffer {
  const bytes = Buffer.alloc(88);
  bytes.writeBigUInt64LE(node, 0);
  bytes.writeUInt32LE(node === ROOT ? S_IFDIR | 0o755 : S_IFREG | 0o644, 60);
  bytes.writeUInt32LE(1, 64);
  return bytes;
}

function answer(opcode: number, node: bigint): Buffer {
  switch (opcode) {
    case INIT: {
      const bytes = Buffer.alloc(64);
      bytes.writeUInt32LE(7, 0);
      bytes.writeUInt32LE(31, 4);
      bytes.writeUInt32LE(65536, 20);
      return bytes;
    }
    case LOOKUP: {
      const bytes = Buffer.alloc(40);
      bytes.writeBigUInt64LE(FILE, 0);
      bytes.writeBigUInt64LE(LONG, 16);
      bytes.writeBigUInt64LE(LONG, 24);
      return Buffer.concat([bytes, attributes(FILE)]);
    }
    case GETATTR: {
      const bytes = Buffer.alloc(16);
      bytes.writeBigUInt64LE(LONG, 0);
      return Buffer.concat([bytes, attributes(node)]);
    }
    case OPEN:
      return Buffer.alloc(16);
    case STATFS:
      return Buffer.alloc(80);
    default:
      return Buffer.alloc(0);
  }
}

const device = openSync('/dev/fuse', 'r+');
if (mount('test', folder, 'fuse', 0, `fd=${device},rootmode=40000,user_id=0,group_id=0,allow_other`) !== 0) {
  console.log('mount failed');
  process.exit(1);
}
console.log('mounted');

const request = Buffer.alloc(1 << 20);
for (;;) {
  readSync(device, request);
  const opcode = request.readUInt32LE(4);
  if ([FLUSH, FORGET, BATCH_FORGET, INTERRUPT].includes(opcode)) continue;
  const known = [INIT, LOOKUP, GETATTR, OPEN, STATFS, RELEASE].includes(opcode);
  const body = known ? answer(opcode, request.readBigUInt64LE(16)) : Buffer.alloc(0);
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeInt32LE(known ? 0 : -ENOSYS, 4);
  header.writeBigUInt64LE(request.readBigUInt64LE(8), 8);
  writeSync(device, Buffer.concat([header, body]));
}

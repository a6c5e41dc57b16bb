import {
  addressOf,
  allocate,
  checkArray,
  checkBytes,
  checkChoice,
  checkInstance,
  checkObject,
  checkText,
  checkUint32,
  EINVAL,
  ENOENT,
  errno,
  Fd,
  readKernelFile,
  SystemError,
} from '@sdrx/linux';
import {
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  bpf,
  bpfAttributes,
  bpfInfo,
  bpfName,
  tryBpf,
} from './bpf-call.js';
import { openPinned, pin } from './pin.js';

// BPF_MAP_TYPE_* of bpf(2): those that this package knows more of, or that are often needed.
/** Any keys. */
export const BPF_MAP_TYPE_HASH = 1;
/** Keys are numbers of 32 bits from 0 on, and all of them are there. */
export const BPF_MAP_TYPE_ARRAY = 2;
/** A hash with a value per CPU, which programs change without minding each other. */
export const BPF_MAP_TYPE_PERCPU_HASH = 5;
/** An array with a value per CPU. */
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6;
/** A hash that drops what was used least recently when it is full. */
export const BPF_MAP_TYPE_LRU_HASH = 9;
/** The same with a value per CPU. */
export const BPF_MAP_TYPE_LRU_PERCPU_HASH = 10;
/** An array of maps. */
export const BPF_MAP_TYPE_ARRAY_OF_MAPS = 12;
/** A hash of maps. */
export const BPF_MAP_TYPE_HASH_OF_MAPS = 13;
/** Records from programs to one reader; see `RingBuffer`. */
export const BPF_MAP_TYPE_RINGBUF = 27;

const PER_CPU = [BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_LRU_PERCPU_HASH];

const MAP_INFO_SIZE = 40;

/** Whether `set` may make an entry, change one, or both. */
const MODES = { any: 0, create: 1, replace: 2 } as const;

/** What a map to be made is like. bpf(2) BPF_MAP_CREATE. */
export interface BpfMapOptions {
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  /** In bytes. */
  readonly keySize: number;
  /** In bytes. */
  readonly valueSize: number;
  /** How many keys it has room for; of a ring buffer its size in bytes, a power of 2 of whole pages. */
  readonly maxEntries: number;
  /** BPF_F_*, none by default. */
  readonly flags?: number;
  /** At most 15 letters, digits, dots and underscores; for those who list maps. */
  readonly name?: string;
  /** Of a map of maps, one like those that it is to hold. */
  readonly inner?: BpfMap;
}

/**
 * A map, by which programs in the kernel and this process share data. Keys and values are bytes, numbers in them in the
 * machine's byte order. In a map of maps a value is set as the fd of a map and read as a map's id, each of 32 bits.
 */
export class BpfMap implements Disposable {
  readonly #fd: Fd;
  /** The kernel's number for it. */
  readonly id: number;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  /** As far as the kernel keeps it, 15 bytes. */
  readonly name: string;
  /** In bytes. */
  readonly keySize: number;
  /** In bytes; of a map with a value per CPU, of all of them. */
  readonly valueSize: number;
  /** How many keys it has room for; of a ring buffer its size in bytes. */
  readonly maxEntries: number;
  /** BPF_F_*. */
  readonly flags: number;

  // The kernel gets addresses, and those of our own buffers stay; so what is passed in or out is copied.
  readonly #key: Buffer;
  readonly #value: Buffer;
  readonly #nextKey: Buffer;
  readonly #attributes = allocate(32);

  /** Takes over `fd`, a descriptor of a map. @throws EBADF, and EINVAL for another descriptor */
  constructor(fd: Fd) {
    checkInstance('fd', fd, Fd);
    this.#fd = fd;
    try {
      const info = bpfInfo(fd.number, MAP_INFO_SIZE);
      this.type = info.readUInt32LE(0);
      this.id = info.readUInt32LE(4);
      this.keySize = info.readUInt32LE(8);
      this.valueSize = valueSize(this.type, info.readUInt32LE(12));
      this.maxEntries = info.readUInt32LE(16);
      this.flags = info.readUInt32LE(20);
      this.name = bpfName(info, 24);
    } catch (error) {
      fd.close();
      throw error;
    }
    this.#key = allocate(this.keySize);
    this.#nextKey = allocate(this.keySize);
    this.#value = allocate(this.valueSize);
  }

  /** Makes a map. bpf(2) BPF_MAP_CREATE. @throws EINVAL, E2BIG, ENOMEM, EPERM */
  static create(options: BpfMapOptions): BpfMap {
    checkMapOptions(options);
    const { type, keySize, valueSize, maxEntries, flags = 0, name = '', inner } = options;
    const attributes = bpfAttributes();
    [type, keySize, valueSize, maxEntries, flags, inner?.fd ?? 0].forEach((value, index) => {
      attributes.writeUInt32LE(value, index * 4);
    });
    if (attributes.write(name, 28, 'latin1') > 15) throw new SystemError(EINVAL, 'bpf(MAP_CREATE)', name);
    return new BpfMap(new Fd(bpf(BPF_MAP_CREATE, attributes, 'MAP_CREATE', name)));
  }

  /** Opens a map that is pinned at `path`. @throws ENOENT, EACCES, and EINVAL if something else is pinned there */
  static openPinned(path: string): BpfMap {
    checkText('path', path);
    return new BpfMap(openPinned(path));
  }

  /** Opens a map by its id. bpf(2) BPF_MAP_GET_FD_BY_ID. @throws ENOENT, EPERM */
  static byId(id: number): BpfMap {
    checkUint32('id', id);
    const attributes = bpfAttributes();
    attributes.writeUInt32LE(id, 0);
    return new BpfMap(new Fd(bpf(BPF_MAP_GET_FD_BY_ID, attributes, 'MAP_GET_FD_BY_ID', id)));
  }

  /** Its descriptor, −1 after `[Symbol.dispose]`. */
  get fd(): number {
    return this.#fd.number;
  }

  /** The value of a key, undefined if there is none. bpf(2) BPF_MAP_LOOKUP_ELEM. @throws EBADF, EOPNOTSUPP */
  get(key: Uint8Array): Buffer | undefined {
    checkBytes('key', key);
    this.#setKey(key);
    return this.#call(BPF_MAP_LOOKUP_ELEM, 'MAP_LOOKUP_ELEM', this.#value) ? Buffer.from(this.#value) : undefined;
  }

  /**
   * Sets the value of a key. bpf(2) BPF_MAP_UPDATE_ELEM. In a map of maps it takes until no program sees the former state: about
   * 10 ms.
   * @throws E2BIG if the map is full, EEXIST or ENOENT if `mode` does not allow it
   */
  set(key: Uint8Array, value: Uint8Array, mode: keyof typeof MODES = 'any'): void {
    checkBytes('key', key);
    checkBytes('value', value);
    checkChoice('mode', mode, Object.keys(MODES));
    this.#setKey(key);
    fill(this.#value, value, 'value', this.name);
    if (!this.#call(BPF_MAP_UPDATE_ELEM, 'MAP_UPDATE_ELEM', this.#value, MODES[mode]))
      throw new SystemError(ENOENT, 'bpf(MAP_UPDATE_ELEM)', this.name);
  }

  /**
   * Removes a key. bpf(2) BPF_MAP_DELETE_ELEM.
   * @returns whether it was there.
   * @throws EINVAL for a map that is an array
   */
  delete(key: Uint8Array): boolean {
    checkBytes('key', key);
    this.#setKey(key);
    return this.#call(BPF_MAP_DELETE_ELEM, 'MAP_DELETE_ELEM');
  }

  /** Removes many keys in one call, those that are there. bpf(2) BPF_MAP_DELETE_BATCH. @throws EOPNOTSUPP */
  deleteAll(keys: readonly Uint8Array[]): void {
    checkArray('keys', keys, checkBytes);
    const all = allocate(keys.length * this.keySize);
    keys.forEach((key, index) => {
      fill(all.subarray(index * this.keySize, (index + 1) * this.keySize), key, 'key', this.name);
    });
    const address = addressOf(all);
    const attributes = bpfAttributes();
    for (let done = 0; done < keys.length; ) {
      attributes.writeBigUInt64LE(address + BigInt(done * this.keySize), 16);
      attributes.writeUInt32LE(keys.length - done, 32);
      attributes.writeInt32LE(this.fd, 36);
      const failed = tryBpf(BPF_MAP_DELETE_BATCH, attributes) === -1;
      const reason = errno();
      if (failed && reason !== ENOENT) throw new SystemError(reason, 'bpf(MAP_DELETE_BATCH)', this.name);
      // It stops at the first that is not there.
      done += attributes.readUInt32LE(32) + (failed ? 1 : 0);
    }
  }

  /** All keys. Of what is added or removed meanwhile there is no telling; for that, take them all first: `[...map.keys()]`. */
  *keys(): Generator<Buffer> {
    let previous: Buffer | undefined;
    for (;;) {
      if (previous !== undefined) this.#key.set(previous);
      if (!this.#call(BPF_MAP_GET_NEXT_KEY, 'MAP_GET_NEXT_KEY', this.#nextKey, 0, previous !== undefined)) return;
      previous = Buffer.from(this.#nextKey);
      yield previous;
    }
  }

  /** All keys and values, with what `keys` says of them. */
  *entries(): Generator<[key: Buffer, value: Buffer]> {
    for (const key of this.keys()) {
      const value = this.get(key);
      if (value !== undefined) yield [key, value];
    }
  }

  /**
   * Names it in a BPF file system, where it stays; what has the name is replaced.
   * @throws as open(2), EPERM elsewhere
   */
  pin(path: string): void {
    checkText('path', path);
    pin(this.fd, path);
  }

  /** Closes it. Other descriptors, programs and names keep the map alive. */
  [Symbol.dispose](): void {
    this.#fd.close();
  }

  #setKey(key: Uint8Array): void {
    fill(this.#key, key, 'key', this.name);
  }

  /** @returns false for ENOENT */
  #call(command: number, call: string, other?: Buffer, flags = 0, withKey = true): boolean {
    const attributes = this.#attributes;
    attributes.writeInt32LE(this.fd, 0);
    attributes.writeBigUInt64LE(withKey ? addressOf(this.#key) : 0n, 8);
    attributes.writeBigUInt64LE(other === undefined ? 0n : addressOf(other), 16);
    attributes.writeUInt32LE(flags, 24);
    if (tryBpf(command, attributes) !== -1) return true;
    const reason = errno();
    if (reason === ENOENT) return false;
    throw new SystemError(reason, `bpf(${call})`, this.name);
  }
}

function checkMapOptions(options: BpfMapOptions): void {
  checkObject('options', options);
  const { name, inner, flags = 0, ...sizes } = options;
  for (const which of ['type', 'keySize', 'valueSize', 'maxEntries'] as const) checkUint32(which, sizes[which]);
  checkUint32('flags', flags);
  if (name !== undefined) checkText('name', name);
  if (inner !== undefined) checkInstance('inner', inner, BpfMap);
}

function fill(target: Buffer, bytes: Uint8Array, what: string, map: string): void {
  if (bytes.byteLength !== target.byteLength)
    throw new RangeError(`a ${what} of ${bytes.byteLength} bytes: those of map '${map}' have ${target.byteLength}`);
  target.set(bytes);
}

let cpus: number | undefined;

function valueSize(type: number, size: number): number {
  if (!PER_CPU.includes(type)) return size;
  cpus ??= possibleCpus();
  return Math.ceil(size / 8) * 8 * cpus;
}

/** How many CPUs the kernel provides for. The list has ranges: 0-3,8. */
function possibleCpus(): number {
  const ranges = readKernelFile('/sys/devices/system/cpu/possible').trim().split(',');
  return ranges.reduce((sum, range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return sum + last - first + 1;
  }, 0);
}

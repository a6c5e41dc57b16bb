import { allocate, cString, libc } from '@sdrx/linux';
import koffi, { type LibraryHandle } from 'koffi';
import { BpfError } from './bpf-error.js';
import type { LogLine } from './log.js';

/** Where libbpf is by default, as dlopen(3) finds it. */
export const LIBBPF = 'libbpf.so.1';

/** The oldest release that this package was tried with, that of Debian 12. */
const OLDEST = [1, 1] as const;

const LEVELS = ['warning', 'info', 'debug'] as const;

/** The address of one of libbpf's structs. */
export type Pointer = bigint;

/** The functions of libbpf that are used; https://libbpf.readthedocs.io. A negative result is an errno. */
export interface Libbpf {
  readonly openFile: (path: string, options: null) => Pointer | null;
  readonly openMemory: (bytes: Uint8Array, size: number, options: null) => Pointer | null;
  readonly load: (object: Pointer) => number;
  readonly close: (object: Pointer) => void;
  readonly nextProgram: (object: Pointer, previous: Pointer | null) => Pointer | null;
  readonly nextMap: (object: Pointer, previous: Pointer | null) => Pointer | null;
  readonly programName: (program: Pointer) => string;
  readonly setAutoload: (program: Pointer, on: boolean) => number;
  readonly programFd: (program: Pointer) => number;
  readonly attach: (program: Pointer) => Pointer | null;
  readonly mapName: (map: Pointer) => string;
  readonly setMaxEntries: (map: Pointer, count: number) => number;
  readonly setInnerMap: (map: Pointer, fd: number) => number;
  readonly setPinPath: (map: Pointer, path: string) => number;
  readonly reuse: (map: Pointer, fd: number) => number;
  readonly mapFd: (map: Pointer) => number;
  readonly linkFd: (link: Pointer) => number;
  readonly disconnect: (link: Pointer) => void;
  readonly destroy: (link: Pointer) => number;
}

const vasprintf = libc<(result: Uint8Array, format: Pointer, list: Pointer) => number>(
  'int vasprintf(void *, void *, void *)',
);
const free = libc<(pointer: Pointer) => void>('void free(void *)');
const result = allocate(8);

let lines: LogLine[] = [];

/** What libbpf has said since this was asked for last. */
export function takeLog(): LogLine[] {
  const taken = lines;
  lines = [];
  return taken;
}

/**
 * libbpf_print_fn_t, `int (level, format, va_list)`. A va_list is passed as the address of its struct both on x86-64, where
 * it is an array, and on arm64, where it is a struct too large for registers; so it can be handed on as one, once.
 * It keeps the text only: nothing may be thrown through libbpf.
 */
function print(level: number, format: Pointer, list: Pointer): number {
  if (vasprintf(result, format, list) === -1) return 0;
  const text = result.readBigUInt64LE();
  const message = koffi.decode
    .string(text)
    .replace(/^libbpf: /, '')
    .trimEnd();
  free(text);
  if (message !== '') lines.push({ level: LEVELS[level] ?? 'warning', message });
  return 0;
}

let printer: bigint | undefined;

const opened = new Map<string, Libbpf>();

/**
 * Opens libbpf, at the first time, and has it say what it says to `takeLog`.
 * @throws BpfError with ERR_LIBBPF_MISSING or ERR_LIBBPF_TOO_OLD
 */
export function libbpf(path = LIBBPF): Libbpf {
  const known = opened.get(path);
  if (known !== undefined) return known;
  const needed = `libbpf ${OLDEST.join('.')} or newer is needed (Debian: package libbpf1)`;
  let library: LibraryHandle;
  try {
    library = koffi.load(cString(path, 'dlopen'));
  } catch (cause) {
    throw new BpfError('ERR_LIBBPF_MISSING', `${path} can't be opened, ${needed}`, [], { cause });
  }
  const version = versionOf(library);
  const [major = 0, minor = 0] = version;
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    throw new BpfError('ERR_LIBBPF_TOO_OLD', `${path} is libbpf ${version.join('.') || 'before 0.6'}, ${needed}`);
  try {
    const functions = bind(library);
    printer ??= koffi.register(print, koffi.pointer(koffi.proto('int (int, void *, void *)')));
    library.func('void *libbpf_set_print(void *)')(printer);
    opened.set(path, functions);
    return functions;
  } catch (cause) {
    throw new BpfError('ERR_LIBBPF_TOO_OLD', `${path} lacks what it should have, ${needed}`, [], { cause });
  }
}

/** Major and minor; empty if it is too old to tell. */
function versionOf(library: LibraryHandle): number[] {
  try {
    return [library.func('uint libbpf_major_version()')(), library.func('uint libbpf_minor_version()')()];
  } catch {
    return [];
  }
}

function bind(library: LibraryHandle): Libbpf {
  const declare = <F>(prototype: string): F => library.func(prototype) as unknown as F;
  return {
    openFile: declare('void *bpf_object__open_file(const char *, void *)'),
    openMemory: declare('void *bpf_object__open_mem(const void *, size_t, void *)'),
    load: declare('int bpf_object__load(void *)'),
    close: declare('void bpf_object__close(void *)'),
    nextProgram: declare('void *bpf_object__next_program(void *, void *)'),
    nextMap: declare('void *bpf_object__next_map(void *, void *)'),
    programName: declare('const char *bpf_program__name(void *)'),
    setAutoload: declare('int bpf_program__set_autoload(void *, bool)'),
    programFd: declare('int bpf_program__fd(void *)'),
    attach: declare('void *bpf_program__attach(void *)'),
    mapName: declare('const char *bpf_map__name(void *)'),
    setMaxEntries: declare('int bpf_map__set_max_entries(void *, uint)'),
    setInnerMap: declare('int bpf_map__set_inner_map_fd(void *, int)'),
    setPinPath: declare('int bpf_map__set_pin_path(void *, const char *)'),
    reuse: declare('int bpf_map__reuse_fd(void *, int)'),
    mapFd: declare('int bpf_map__fd(void *)'),
    linkFd: declare('int bpf_link__fd(void *)'),
    disconnect: declare('void bpf_link__disconnect(void *)'),
    destroy: declare('int bpf_link__destroy(void *)'),
  };
}

import koffi, { type LibraryHandle } from 'koffi';

const RTLD_NOW = 2;
const RTLD_NOLOAD = 4;
const RTLD_NODELETE = 0x1000;

/** A Dl_info: the file's name is the first of its four words. */
const INFO_SIZE = 32;

/**
 * Keeps koffi's own machine code in memory for good. Node unloads it with the last thread that uses it, but closes that
 * thread's handles, such as those of `koffi.node.poll`, only afterwards, and calls koffi for each: the process would end by
 * SIGSEGV. dlopen(3) RTLD_NODELETE
 * @param library the C library
 */
export function keepKoffi(library: LibraryHandle): void {
  const dladdr = library.func('int dladdr(void *address, void *info)');
  const dlopen = library.func('void *dlopen(const char *path, int flags)');
  // What C calls a callback by lies in that code.
  const callback = koffi.register(() => undefined, koffi.pointer(koffi.proto('void ()')));
  try {
    const info = Buffer.alloc(INFO_SIZE);
    if (dladdr(callback, info) === 0) return;
    dlopen(koffi.decode.string(info.readBigUInt64LE(0)), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
  } finally {
    koffi.unregister(callback);
  }
}

import koffi from 'koffi';

// The program's, not the C library's: the program has a copy of its own, which all of its code uses.
const variable: unknown = koffi.load(null).symbol('environ', 'void *');

/** The address of this process's environment as C sees it, a list of strings; until the environment changes. environ(7). */
export function environ(): bigint {
  return koffi.decode(variable, 'void *');
}

import { INTERFACE_NAME_MAX } from '@sdrx/linux';

/** What the kernel and its files take, but for what tools such as sysctl(8) understand otherwise. */
const NAME = new RegExp(`^[!-~]{1,${INTERFACE_NAME_MAX}}$`);
const RESERVED = new Set(['.', '..', 'all', 'default']);

/** A number, as strtol(3) reads it or with one of its prefixes for other bases: tools would take it for an index. */
const NUMBER = /^(?:\d+|\+?(?:[1-9]\d*|0[0-7]+|0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+))$/;

/** Whether a network interface can have this name, by systemd's rules, which are stricter than the kernel's. */
export function isInterfaceName(name: string): boolean {
  return NAME.test(name) && !/[:/%]/.test(name) && !RESERVED.has(name) && !NUMBER.test(name);
}

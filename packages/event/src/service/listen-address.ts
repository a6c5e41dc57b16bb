import { isIP } from 'node:net';
import { checkChoice, checkObject, checkText } from '@sdrx/linux';

/** How a Unix socket is spoken to. unix(7) */
export type UnixSocketType = 'stream' | 'datagram' | 'seqpacket';

/** Where to listen, as `parseListenAddress` reads it. */
export type ListenAddress = UnixListenAddress | InetListenAddress;

/** `unix:…` */
export interface UnixListenAddress {
  /** Tells it from the other. */
  readonly kind: 'unix';
  /** How it is spoken to. */
  readonly type: UnixSocketType;
  /** An absolute path, or an abstract name behind `@`. */
  readonly path: string;
}

/** `tcp:…` or `udp:…` */
export interface InetListenAddress {
  /** Tells it from the other. */
  readonly kind: 'inet';
  /** TCP or UDP. */
  readonly type: 'stream' | 'datagram';
  /** As text, of IPv4 or IPv6. */
  readonly host: string;
  /** 0 has the kernel choose one. */
  readonly port: number;
}

/** A text that is no address to listen at. */
export class ListenAddressError extends TypeError {
  /** The class's. */
  override readonly name = 'ListenAddressError';

  constructor(
    /** What is no address. */
    readonly text: string,
  ) {
    checkText('text', text);
    super(
      `'${text}' is no address to listen at: unix:/PATH, unix:@NAME (unix-datagram:, unix-seqpacket:), ` +
        'tcp:HOST:PORT or udp:HOST:PORT, where HOST is an address such as 127.0.0.1, [::1], or localhost, or * for all',
    );
  }
}

/** A name of 1 to 107 bytes, as sockaddr_un has room for. unix(7) */
const UNIX = /^unix(?:-(datagram|seqpacket))?:([/@][^\0]+)$/s;
const INET = /^(tcp|udp):(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/;
const LONGEST_PATH = 107;

/**
 * Reads `unix:/run/x.sock`, `unix:@x`, `unix-datagram:…`, `unix-seqpacket:…`, `tcp:127.0.0.1:80`, `tcp:[::1]:80`, `udp:…`. The
 * host `localhost` is 127.0.0.1, `*` is `::` with IPv4 too; other names are not asked for, as that may take long.
 * @throws ListenAddressError
 */
export function parseListenAddress(text: string): ListenAddress {
  checkText('text', text);
  const [, type = 'stream', path] = UNIX.exec(text) ?? [];
  if (path !== undefined && Buffer.byteLength(path) <= LONGEST_PATH) {
    return { kind: 'unix', type: type as UnixSocketType, path };
  }
  const [, protocol, inBrackets, plain, digits = ''] = INET.exec(text) ?? [];
  const host = hostOf(inBrackets, plain);
  const port = Number(digits);
  if (protocol === undefined || host === undefined || port > 0xffff) throw new ListenAddressError(text);
  return { kind: 'inet', type: protocol === 'tcp' ? 'stream' : 'datagram', host, port };
}

/** The same as text. */
export function formatListenAddress(address: ListenAddress): string {
  checkObject('address', address);
  checkChoice('address.kind', address.kind, ['unix', 'inet']);
  if (address.kind === 'unix') checkText('address.path', address.path);
  else checkText('address.host', address.host);
  if (address.kind === 'unix') return `unix${address.type === 'stream' ? '' : `-${address.type}`}:${address.path}`;
  const host = isIP(address.host) === 4 ? address.host : `[${address.host}]`;
  return `${address.type === 'stream' ? 'tcp' : 'udp'}:${host}:${address.port}`;
}

function hostOf(inBrackets: string | undefined, plain: string | undefined): string | undefined {
  if (inBrackets !== undefined) return isIP(inBrackets.split('%', 1)[0] ?? '') === 6 ? inBrackets : undefined;
  if (plain === 'localhost') return '127.0.0.1';
  if (plain === '*') return '::';
  return plain !== undefined && isIP(plain) === 4 ? plain : undefined;
}

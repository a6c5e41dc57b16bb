import { formatListenAddress, type ListenAddress, ListenAddressError, parseListenAddress } from '@sdrx/event';
import * as t from 'io-ts';

/** Where metrics are served. */
export interface MetricsOptions {
  readonly address: ListenAddress;
  /** Of a Unix socket's path. */
  readonly mode: number;
}

/** Where metrics are served by Varlink. */
export interface ReportOptions {
  readonly path: string;
  /** Of the path. */
  readonly mode: number;
}

/** Who may connect to the socket unless an administrator says something else: root. */
export const METRICS_MODE = 0o600;

const is = (input: unknown): input is ListenAddress => typeof input === 'object' && input !== null && 'kind' in input;

/**
 * A Unix socket or a port of this machine: counts say who does how much here, and whoever can connect gets an answer, so the network
 * is for a proxy that asks who is there.
 */
export const MetricsAddress = new t.Type<ListenAddress, string, unknown>(
  'unix:/PATH, tcp:127.0.0.1:PORT or tcp:[::1]:PORT',
  is,
  (input, context) => {
    const address = parse(String(input));
    return address !== undefined && isLocal(address) ? t.success(address) : t.failure(input, context);
  },
  formatListenAddress,
);

/** The mode of a file, in octal. */
export const Mode = new t.Type<number, string, unknown>(
  'a mode such as 0660',
  t.number.is,
  (input, context) =>
    /^0?[0-7]{3}$/.test(String(input)) ? t.success(Number.parseInt(String(input), 8)) : t.failure(input, context),
  (mode) => `0${mode.toString(8)}`,
);

function parse(text: string): ListenAddress | undefined {
  try {
    return parseListenAddress(text);
  } catch (error) {
    if (error instanceof ListenAddressError) return undefined;
    throw error;
  }
}

function isLocal(address: ListenAddress): boolean {
  if (address.type !== 'stream') return false;
  if (address.kind === 'unix') return address.path.startsWith('/');
  return address.port !== 0 && (address.host === '::1' || address.host.startsWith('127.'));
}

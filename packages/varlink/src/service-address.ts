import { isIP } from 'node:net';
import { requireText } from './arguments.js';

/** Where a service is, as `parseServiceAddress` reads it. */
export type ServiceAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'exec'; readonly program: string }
  | { readonly kind: 'ssh'; readonly destination: string; readonly path: string };

/** A text that is no address of a service. */
export class ServiceAddressError extends TypeError {
  override readonly name = 'ServiceAddressError';

  /** @param text what is no address */
  constructor(readonly text: string) {
    super(
      `'${text}' is no address of a varlink service: /PATH, @NAME, unix:/PATH, unix:@NAME, tcp:HOST:PORT, exec:/PROGRAM or ` +
        'ssh-unix:DESTINATION:/PATH, where HOST is an address such as 127.0.0.1 or [::1], or localhost',
    );
  }
}

const SCHEME = /^[a-z][a-z-]*:/;
const UNIX = /^unix:([/@].+)$/s;
const TCP = /^tcp:(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/;
const EXEC = /^exec:(\/.+)$/s;
// A destination that begins with a dash would be an option of ssh.
const SSH = /^ssh(?:-unix)?:(\[[^\]]+\]|[^-:[\]/][^:/]*):(\/.+)$/s;

/**
 * Reads where a service is, as varlinkctl takes it: `/run/x`, `unix:/run/x`, `unix:@x`, `exec:/usr/bin/x`, `ssh-unix:host:/run/x`;
 * besides `@x` and, as the Varlink project has it, `tcp:127.0.0.1:12345`. What has no scheme is a path; what follows a `;` behind
 * one is not looked at.
 *
 * @throws ServiceAddressError; TypeError for what is no string
 */
export function parseServiceAddress(text: string): ServiceAddress {
  requireText(text, 'text');
  if (!SCHEME.test(text)) return { kind: 'unix', path: text };
  const [address = ''] = text.split(';', 1);
  const [, path] = UNIX.exec(address) ?? [];
  if (path !== undefined) return { kind: 'unix', path };
  const [, inBrackets, plain, digits = ''] = TCP.exec(address) ?? [];
  const host = plain === 'localhost' ? '127.0.0.1' : (inBrackets ?? plain);
  const family = isIP(host?.split('%', 1)[0] ?? '');
  const isHost = host !== undefined && family === (inBrackets === undefined ? 4 : 6);
  if (isHost && Number(digits) >= 1 && Number(digits) <= 0xffff) return { kind: 'tcp', host, port: Number(digits) };
  const [, program] = EXEC.exec(address) ?? [];
  if (program !== undefined) return { kind: 'exec', program };
  const [, destination, remote] = SSH.exec(address) ?? [];
  if (destination !== undefined && remote !== undefined) return { kind: 'ssh', destination, path: remote };
  throw new ServiceAddressError(text);
}

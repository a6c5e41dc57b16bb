/** There is no message bus: no socket where it would be. */
export class NoBusError extends Error {
  override readonly name = 'NoBusError';

  constructor(addresses: readonly string[]) {
    super(`no message bus at ${addresses.join(', ')}`);
  }
}

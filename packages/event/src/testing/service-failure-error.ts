/** What a service manager would end a service for, or, for a reload, tell as failed. */
export class ServiceFailureError extends Error {
  /** What tells it from other errors. */
  override readonly name = 'ServiceFailureError';

  constructor(
    /** In the words of `systemctl show`, Result=. */
    readonly result: 'timeout' | 'watchdog',
    /** When, in milliseconds on the loop's monotonic clock. */
    readonly at: number,
    why: string,
  ) {
    super(`the service manager, at ${at} ms: ${why}`);
  }
}

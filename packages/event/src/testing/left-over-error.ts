/** What a virtual loop had left when it was disposed of. */
export class LeftOverError extends Error {
  /** What tells it from other errors. */
  override readonly name = 'LeftOverError';

  constructor(
    /** Each thing that was left, in words. */
    readonly left: readonly string[],
  ) {
    super(`left when the virtual loop was disposed of: ${left.join('; ')}`);
  }
}

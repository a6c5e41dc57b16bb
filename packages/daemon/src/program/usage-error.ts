/** What a program was told does not go together, or makes no sense: the user's to mend, exit status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

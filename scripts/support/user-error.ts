/** What went wrong, worded for the person at the terminal. run.js knows it by its name and shows it without a stack. */
export class UserError extends Error {
  override readonly name = 'UserError';
}

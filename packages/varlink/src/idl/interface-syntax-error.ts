/** The text of an interface is not as the definition language has it. */
export class InterfaceSyntaxError extends SyntaxError {
  override readonly name = 'InterfaceSyntaxError';

  /**
   * @param line of the text, from 1
   * @param column in it, from 1, in characters of JavaScript's
   */
  constructor(
    message: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(`line ${line}, column ${column}: ${message}`);
  }
}

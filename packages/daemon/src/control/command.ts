/** One of nsresourcectl's commands. */
export interface Command {
  readonly name: string;
  /** One line for `--help` and for shells that complete. */
  readonly summary: string;
  /** Its options as they are completed: those with a value end with `=`. */
  readonly options: readonly string[];
  /** What its first operand is, for shells that complete. */
  readonly operand?: 'namespace' | 'file' | readonly string[];
  /**
   * Runs it. @param args what was given but its name. @returns the exit status
   * @throws UsageError, and Error that says what to do
   */
  run(args: readonly string[]): Promise<number> | number;
}

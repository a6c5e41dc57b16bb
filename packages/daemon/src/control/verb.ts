export interface Verb {
  /** Undefined where there are options only. */
  readonly verb: string | undefined;
  /** All else, in order. */
  readonly args: readonly string[];
}

/** Finds which command is meant: the first word that is no option. Options may stand before it, too. */
export function findVerb(words: readonly string[]): Verb {
  const index = words.findIndex((word) => !word.startsWith('-'));
  return index === -1 ? { verb: undefined, args: words } : { verb: words[index], args: words.toSpliced(index, 1) };
}

import { checkArray, checkText } from '@sdrx/linux';

/** A service was passed its sockets, and was also told where to listen. */
export class ConflictError extends Error {
  /** The class's. */
  override readonly name = 'ConflictError';

  constructor(
    /** The options that say where to listen, as users know them. */
    readonly options: readonly string[],
    /** The names of the sockets that were passed. */
    readonly passed: readonly string[],
  ) {
    checkArray('options', options, checkText);
    checkArray('passed', passed, checkText);
    super(
      `${options.join(' and ')} can't be given to a service that is activated with its sockets ` +
        `(${passed.map((name) => `'${name}'`).join(', ')}): leave it out, or start the service without its socket unit`,
    );
  }
}

/** @param given values of options by their names, undefined for those that were not given. @throws ConflictError */
export function refuseConflicts(passed: readonly string[], given: Readonly<Record<string, unknown>>): void {
  const options = Object.keys(given).filter((name) => given[name] !== undefined);
  if (passed.length > 0 && options.length > 0) throw new ConflictError(options, passed);
}

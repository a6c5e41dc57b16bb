import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';

/** A variable of the environment that does not hold what its protocol says. */
export class EnvironmentError extends Error {
  /** What tells it from other errors. */
  override readonly name = 'EnvironmentError';
  /** As of a system call that is given the like. */
  readonly code = 'EINVAL';

  constructor(
    /** The variable's name. */
    readonly variable: string,
    /** What it holds. */
    readonly value: string | undefined,
    expected: string,
  ) {
    super(`environment variable ${variable} must be ${expected}, not ${value === undefined ? 'unset' : `'${value}'`}`);
  }
}

/** A non-negative decimal number below 2⁵³, written without sign or white space. */
export const Decimal = new t.Type<number, string, unknown>(
  'a decimal number',
  (input): input is number => typeof input === 'number',
  (input, context) => {
    const number = typeof input === 'string' && /^\d{1,16}$/.test(input) ? Number(input) : Number.NaN;
    return Number.isSafeInteger(number) ? t.success(number) : t.failure(input, context);
  },
  String,
);

/** An absolute path. */
export const AbsolutePath = new t.Type<string, string, unknown>(
  'an absolute path',
  (input): input is string => typeof input === 'string' && input.startsWith('/'),
  (input, context) =>
    typeof input === 'string' && input.startsWith('/') && !input.includes('\0')
      ? t.success(input)
      : t.failure(input, context),
  t.identity,
);

/** Reads a variable by its codec; undefined when it is unset. Throws EnvironmentError. */
export function readEnvironment<A>(
  environment: NodeJS.ProcessEnv,
  variable: string,
  codec: t.Decoder<unknown, A>,
): A | undefined {
  const value = environment[variable];
  if (value === undefined) return undefined;
  const decoded = codec.decode(value);
  if (isLeft(decoded)) throw new EnvironmentError(variable, value, codec.name);
  return decoded.right;
}

import { checkMethods, checkObject, checkText } from '@sdrx/linux';

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
    checkText('variable', variable);
    if (value !== undefined) checkText('value', value);
    checkText('expected', expected);
    super(`environment variable ${variable} must be ${expected}, not ${value === undefined ? 'unset' : `'${value}'`}`);
  }
}

/** What `Decoder.decode` answers: a value on the right, or none. The names are those of fp-ts. */
export type Decoded<A> = NotDecoded | DecodedValue<A>;

/** There is no value. */
export interface NotDecoded {
  /** Tells it from the other. */
  readonly _tag: 'Left';
}

/** There is one. */
export interface DecodedValue<A> {
  /** Tells it from the other. */
  readonly _tag: 'Right';
  /** The value. */
  readonly right: A;
}

/**
 * What turns the text of a variable into a value. Every codec and decoder of io-ts is one. The package itself does not
 * depend on io-ts: it has a few variables to read, and io-ts brings the 7 MB of fp-ts along.
 */
export interface Decoder<A> {
  /** What the text must be, for the error's message. */
  readonly name: string;
  /** Never throws. */
  decode(input: unknown): Decoded<A>;
}

/** Makes a decoder of a function that answers undefined for a text that it does not accept. */
export function textDecoder<A>(name: string, read: (text: string) => A | undefined): Decoder<A> {
  return {
    name,
    decode: (input) => {
      const value = typeof input === 'string' ? read(input) : undefined;
      return value === undefined ? { _tag: 'Left' } : { _tag: 'Right', right: value };
    },
  };
}

/** A non-negative decimal number below 2⁵³, written without sign or white space. */
export const Decimal = textDecoder('a decimal number', (text) => {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
});

/** A decimal number below 2⁶⁴, written without sign or white space. */
export const Decimal64 = textDecoder('a decimal number below 2⁶⁴', (text) => {
  const number = /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
  return number !== undefined && number < 1n << 64n ? number : undefined;
});

/** An absolute path. */
export const AbsolutePath = textDecoder('an absolute path', (text) =>
  text.startsWith('/') && !text.includes('\0') ? text : undefined,
);

/** Reads a variable by its decoder, a codec of io-ts say; undefined when it is unset. @throws EnvironmentError */
export function readEnvironment<A>(
  environment: NodeJS.ProcessEnv,
  variable: string,
  decoder: Decoder<A>,
): A | undefined {
  checkObject('environment', environment);
  checkText('variable', variable);
  checkMethods('decoder', decoder, 'a decoder', 'decode');
  const value = environment[variable];
  if (value === undefined) return undefined;
  const decoded = decoder.decode(value);
  if (decoded._tag === 'Left') throw new EnvironmentError(variable, value, decoder.name);
  return decoded.right;
}

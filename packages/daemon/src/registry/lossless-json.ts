import { LosslessNumber, parse, stringify } from 'lossless-json';

/** Reads JSON, any number so that it is written again with the same digits. Throws SyntaxError, also for a key told twice. */
export function parseJson(text: string): unknown {
  return parse(text, undefined, { parseNumber });
}

/** Writes what `parseJson` has read, and bigints, without white space. */
export function formatJson(value: unknown): string {
  return stringify(value) ?? 'null';
}

function parseNumber(digits: string): number | bigint | LosslessNumber {
  const number = Number(digits);
  const isInteger = /^-?[1-9]\d*$/.test(digits);
  if (isInteger && !Number.isSafeInteger(number)) return BigInt(digits);
  return String(number) === digits ? number : new LosslessNumber(digits);
}

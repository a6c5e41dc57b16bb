import { isLeft } from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { Child } from './child.js';

/**
 * Runs a program that prints one JSON object, and waits for its end. Throws if it prints something else, or fails.
 * @param meanwhile what is done between its output and the end of its input
 */
export async function resultOf<A>(
  command: readonly string[],
  codec: t.Decoder<unknown, A>,
  meanwhile: (result: A) => unknown = () => {},
): Promise<A> {
  await using child = new Child(command);
  const text = await child.line();
  const result = codec.decode(JSON.parse(text));
  if (isLeft(result)) throw new Error(`${command[0]} printed ${text}`);
  await meanwhile(result.right);
  await child.finish();
  return result.right;
}

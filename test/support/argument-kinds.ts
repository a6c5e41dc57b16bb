/** One argument of a function: a value that it takes, and those that it must refuse, by the name that the error has to give. */
export interface Argument {
  readonly good: unknown;
  readonly wrong: readonly (readonly [name: string, value: unknown])[];
}

/** The wrong values of a kind, which differ in the way in which they are wrong. */
type Wrong = readonly unknown[];

const NO_NUMBER: Wrong = ['1', null, {}, [1], 1n, true];
const NO_INTEGER: Wrong = [...NO_NUMBER, Number.NaN, 1.5, Infinity];

export function argument(name: string, good: unknown, wrong: Wrong): Argument {
  return { good, wrong: wrong.map((value) => [name, value]) };
}

/** The same, where it must not be left out. */
function required(name: string, good: unknown, wrong: Wrong): Argument {
  return argument(name, good, [...wrong, undefined]);
}

// Of a descriptor that is not open, so that nothing happens where a check is missing.
export const fd = (name = 'fd') => required(name, -1, [...NO_INTEGER, 2 ** 31, -(2 ** 31) - 1]);
export const uint32 = (name: string, good = 0) => required(name, good, [...NO_INTEGER, -1, 2 ** 32]);
export const mask = (name: string) => required(name, 0, [...NO_INTEGER, -(2 ** 31) - 1, 2 ** 32]);
export const integer = (name: string, good = 0) => required(name, good, NO_INTEGER);
export const natural = (name: string, good = 0) => required(name, good, [...NO_INTEGER, -1]);
export const int32 = fd;
export const uint16 = (name: string) => required(name, 1, [...NO_INTEGER, -1, 2 ** 16]);
export const uint64 = (name: string) => required(name, 1n, [1, '1', null, {}, -1n, 2n ** 64n]);
export const pid = (name = 'pid') => required(name, 2 ** 31 - 1, [...NO_INTEGER, 0, -1, 2 ** 31]);
export const signo = (name = 'signo') => required(name, 64, [...NO_INTEGER, 0, -1, 65, 'SIGTERM']);
export const signal = (name = 'signal') =>
  required(name, 'SIGRTMAX', ['SIGNOTHING', 'term', null, {}, 1n, 0, 65, 1.5, Number.NaN]);
export const number = (name: string, good = 1) => required(name, good, [...NO_NUMBER, Number.NaN]);
export const text = (name: string, good = 'text') => required(name, good, [5, null, {}, ['text'], Buffer.from('text')]);
export const bytes = (name: string) => required(name, Buffer.alloc(1), ['text', 5, null, {}, [1], new ArrayBuffer(1)]);
export const boolean = (name: string, good = true) => argument(name, good, ['true', 'false', 0, 1, null, {}]);
export const callback = (name: string) => required(name, () => {}, ['text', 5, null, {}]);
export const choice = (name: string, good: unknown) =>
  argument(name, good, ['nothing', 'constructor', 'toString', '', -77, Number.NaN, null, {}]);
export const instance = (name: string, good: unknown) => required(name, good, ['text', 5, null, {}]);
/** An object of any class that has the right methods. */
export const like = (name: string, good: unknown) => required(name, good, ['text', 5, null, {}, () => {}]);

/** For arguments that may be left out. */
export function optional({ good, wrong }: Argument): Argument {
  return { good, wrong: wrong.filter(([, value]) => value !== undefined) };
}

/** An array, of which one item is wrong. */
export function array(name: string, item: (name: string) => Argument): Argument {
  const items = item(`${name}[0]`);
  return {
    good: [],
    wrong: [
      ...['text', 5, null, {}, undefined].map((value) => [name, value] as const),
      ...items.wrong.map(([inner, value]) => [inner, [value]] as const),
    ],
  };
}

/** An object with members. Those that are given in `good` are needed with each wrong one. */
export function object(name: string, good: object, ...members: readonly (readonly [string, Argument])[]): Argument {
  return {
    good,
    wrong: [
      ...['text', 5, null, ['text'], () => {}].map((value) => [name, value] as const),
      ...members.flatMap(([member, { wrong }]) =>
        wrong.map(([inner, value]) => [inner, { ...good, [member]: value }] as const),
      ),
    ],
  };
}

/** The longest message in characters, before and after escaping: a line is to fit into one piece of a pipe. pipe(7) PIPE_BUF */
const LONGEST = 1000;
const LONGEST_ESCAPED = 3000;

/**
 * What a terminal or a reader of lines could take for more than text: control characters, what turns the direction of
 * writing, line ends of any kind, and halves of characters, which UTF-8 has none of.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** A message as one line that means what it shows, whatever came from outside and stands in it. */
export function logText(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  const safe = short.replaceAll('\n', ' ').replace(UNSAFE, escapeCharacter);
  return safe.length > LONGEST_ESCAPED ? `${safe.slice(0, LONGEST_ESCAPED)}…` : safe;
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** What messages that differ in numbers and names only have in common. */
export function logKind(text: string): string {
  return text
    .slice(0, LONGEST)
    .replace(/'[^']*'/g, "''")
    .replace(/\d+/g, '0');
}

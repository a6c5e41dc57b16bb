import type { MethodMember } from './syntax.js';

/** The language has no word for it, so systemd's interfaces say it in a comment, in these words. */
const FLAG = /^\[(Supports|Requires) '(more|upgrade)' flag\]$/;

type Flags = Pick<MethodMember, 'description' | 'more' | 'upgrade'>;

/** Divides the comment of a method into what it says of its flags, and the rest. */
export function readFlags(comment: string | undefined): Flags {
  const lines = comment?.split('\n') ?? [];
  const flags = lines.map((line) => FLAG.exec(line));
  const rest = lines.filter((_, index) => flags[index] === null);
  const told = flags.flatMap((flag) => (flag === null ? [] : [[flag[2], flag[1] === 'Requires' ? 'required' : true]]));
  return { description: rest.length === 0 ? undefined : rest.join('\n'), ...Object.fromEntries(told) };
}

/** The comment of a method, with what it says of its flags last, as since systemd 262. */
export function methodComment({ description, more, upgrade }: Flags): string | undefined {
  const lines = [description, flagLine('more', more), flagLine('upgrade', upgrade)].filter(
    (line) => line !== undefined,
  );
  return lines.length === 0 ? undefined : lines.join('\n');
}

function flagLine(name: string, flag: boolean | 'required' | undefined): string | undefined {
  if (flag === undefined || flag === false) return undefined;
  return `[${flag === 'required' ? 'Requires' : 'Supports'} '${name}' flag]`;
}

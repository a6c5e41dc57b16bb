/** What lines were added to a state, and which are missing. */
export function difference(before: string, after: string): string {
  const known = before.split('\n');
  const more = after.split('\n').filter((line) => {
    const index = known.indexOf(line);
    if (index >= 0) known.splice(index, 1);
    return index < 0;
  });
  return [...more.map((line) => `+ ${line}`), ...known.map((line) => `- ${line}`)].join('\n');
}

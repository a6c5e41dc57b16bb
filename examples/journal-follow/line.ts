type Entry = Readonly<Record<string, unknown>>;

/** An entry of the journal as a line; systemd.journal-fields(7) */
export function line(entry: Entry): string {
  const time = new Date(Number(entry.__REALTIME_TIMESTAMP) / 1000).toISOString();
  return `${time} ${text(entry.SYSLOG_IDENTIFIER ?? entry._COMM ?? '?')}: ${text(entry.MESSAGE)}`;
}

/** What is no text is given as the numbers of its bytes, what is too long as null, and what is there several times as a list. */
function text(field: unknown): string {
  if (Array.isArray(field)) {
    return field.every(Number.isInteger) ? Buffer.from(field).toString() : field.map(text).join(' ');
  }
  return field === null ? '(too long)' : String(field ?? '');
}

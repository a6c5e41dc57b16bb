/**
 * How something is: `ok`; `missing`, what the daemon as it comes needs; `absent`, without which something is not there that one
 * can do without; `unknown`, what this user may not see.
 */
export type State = 'ok' | 'missing' | 'absent' | 'unknown';

/** What was found out about this machine. */
export interface Finding {
  readonly what: string;
  readonly state: State;
  /** What there is, or what it means that there is none. */
  readonly detail: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** A finding that is `ok`, or else another one, with a remedy. */
export function finding(
  what: string,
  present: string | false,
  otherwise: readonly [state: Exclude<State, 'ok'>, detail: string, remedy?: string],
): Finding {
  if (present !== false) return { what, state: 'ok', detail: present };
  const [state, detail, remedy] = otherwise;
  return remedy === undefined ? { what, state, detail } : { what, state, detail, remedy };
}

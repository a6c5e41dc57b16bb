import type { Dispatch } from '@sdrx/event';

/** Something that a recording noted at a moment, in milliseconds on the same clock as the dispatches. */
export interface Moment {
  readonly at: number;
  readonly what: string;
}

/** What one loop did while it was recorded. */
export interface Recording {
  readonly dispatches: readonly Dispatch[];
  readonly moments: readonly Moment[];
}

/** A request of a client, and which process has answered it. */
export interface RecordedRequest {
  readonly path: string;
  readonly begin: number;
  readonly end: number;
  readonly pid: number;
}

/** A restart as it could be seen from outside. */
export interface RestartRecording {
  readonly former: number;
  readonly successor: number;
  readonly moments: readonly Moment[];
  readonly requests: readonly RecordedRequest[];
}

/** When the first moment was that matches. @throws Error when there was none */
export function momentOf(moments: readonly Moment[], pattern: RegExp): number {
  const found = moments.find(({ what }) => pattern.test(what));
  if (found === undefined) throw new Error(`the recording has no moment ${pattern}`);
  return found.at;
}

import type { Recording } from './recording.js';
import { bar, line, MARGIN, picture, Scale, text } from './svg.js';

const LABEL = 250;
const TOP = 34;
const LANE = 32;
const BAR = 22;

/** A lane a source, by priority, and in which order they had their turns. */
export function drawOrder({ dispatches, moments }: Recording): string {
  const prepared = moments.map(({ at }) => at);
  const begin = Math.min(...prepared);
  const end = Math.max(...dispatches.map((dispatch) => dispatch.end));
  const scale = new Scale(begin, end, LABEL);
  const isExit = ({ kind }: { readonly kind: string }) => kind === 'exiting';
  const lanes = [...dispatches].sort((a, b) => Number(isExit(a)) - Number(isExit(b)) || a.priority - b.priority);
  const bottom = TOP + lanes.length * LANE;
  const exit = dispatches.filter((dispatch) => !isExit(dispatch)).at(-1)?.end ?? end;
  const rows = lanes.flatMap((dispatch, index) => {
    const y = TOP + index * LANE + (LANE - BAR) / 2;
    const { kind, description = '', priority } = dispatch;
    const from = scale.x(dispatch.begin);
    const to = scale.x(dispatch.end);
    const since = scale.x(isExit(dispatch) ? Math.max(dispatch.pending, exit) : dispatch.pending);
    const turn = dispatches.indexOf(dispatch) + 1;
    return [
      text(MARGIN + 28, y + 16, String(priority), 'aside', 'end'),
      text(MARGIN + 42, y + 16, `${kind} '${description}'`),
      ...(from > since ? [bar('wait', since, y, from - since, BAR, 'pending')] : []),
      bar('run', from, y, to - from, BAR, `dispatch ${turn}`),
      text((from + to) / 2, y + 16, String(turn), 'in', 'middle'),
    ];
  });
  return picture(bottom + 30, `The order of dispatch: ${dispatches.map(({ kind }) => kind).join(', ')}`, [
    bar('area', scale.x(exit), TOP - 6, scale.x(end) - scale.x(exit), bottom - TOP + 6),
    text(scale.x(exit) + 6, TOP - 12, 'exit() was called', 'aside'),
    ...prepared.flatMap((at) => line(scale.x(at), TOP - 6, scale.x(at), bottom, 'moment')),
    text(scale.x(begin), TOP - 12, 'prepare, at each line', 'aside'),
    text(MARGIN, TOP - 12, 'priority, source', 'aside'),
    ...rows,
    scale.axis(bottom, bottom, 10),
  ]);
}

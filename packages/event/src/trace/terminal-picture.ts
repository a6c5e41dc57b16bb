import { formatTime, type Lanes, type Span, ticks, union, waiting } from './lanes.js';

/** How much of a cell's time a handler ran: nothing, up to an eighth, and so on. */
const SHADES = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/** Nobody ran, but somebody waited. */
const WAITED = '░';

const DIM = '\u001b[2m';
const STRONG = '\u001b[36m';
const PLAIN = '\u001b[0m';

/** Room between two of the times below, in columns. */
const TICK_ROOM = 16;

/**
 * Draws lanes as lines of text: how full a cell is shows how much of its time handlers ran, and a shaded one that sources waited
 * meanwhile.
 * @param width how many columns there are
 * @param coloured whether the terminal knows colours
 */
export function drawForTerminal({ span, lanes }: Lanes, width: number, coloured: boolean): string {
  const labels = lanes.map(({ priority }) => `priority ${priority}`);
  const margin = Math.max(...labels.map(({ length }) => length)) + 2;
  const columns = Math.max(width - margin, 1);
  const lines = lanes.map(({ dispatches }, index) => {
    const ran = shares(dispatches, span, columns);
    const waited = shares(waiting(dispatches), span, columns);
    const cells = ran.map((share, column) => cell(share, (waited[column] ?? 0) > 0, coloured));
    return `${(labels[index] ?? '').padStart(margin - 2)}  ${cells.join('')}`;
  });
  return `${[...lines, axis(span, columns, margin)].map((line) => line.trimEnd()).join('\n')}\n`;
}

function cell(ran: number, waited: boolean, coloured: boolean): string {
  if (ran > 0) {
    const shade = SHADES[Math.ceil(ran * 8)] ?? '█';
    return coloured ? `${STRONG}${shade}${PLAIN}` : shade;
  }
  if (!waited) return ' ';
  return coloured ? `${DIM}${WAITED}${PLAIN}` : WAITED;
}

/** How much of each of so many equal parts of a time is within spans, from 0 to 1; more than 0 for the least. */
function shares(spans: readonly Span[], { begin, end }: Span, parts: number): number[] {
  const part = (end - begin) / parts || 1;
  const shares = new Array<number>(parts).fill(0);
  for (const each of union(spans)) {
    const from = Math.max(each.begin, begin);
    const to = Math.min(each.end, end);
    if (to < from) continue;
    const last = Math.min(Math.floor((to - begin) / part), parts - 1);
    for (let index = Math.min(Math.floor((from - begin) / part), parts - 1); index <= last; index++) {
      const within = Math.min(to, begin + (index + 1) * part) - Math.max(from, begin + index * part);
      // A handler that took no time at all ran all the same.
      const share = Math.max(within / part, index === last && each.begin === each.end ? Number.MIN_VALUE : 0);
      shares[index] = Math.min((shares[index] ?? 0) + share, 1);
    }
  }
  return shares;
}

/** The times below the lanes. */
function axis(span: Span, columns: number, margin: number): string {
  let line = '';
  for (const time of ticks(span, Math.max(Math.floor(columns / TICK_ROOM), 1))) {
    const column = margin + Math.round((time / (span.end - span.begin || 1)) * columns);
    line = `${line.padEnd(column)}╵${formatTime(time)}`;
  }
  return line;
}

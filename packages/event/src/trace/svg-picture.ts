import { nameOf } from '../core/name-of.js';
import { formatTime, type Lane, type Lanes, type Span, ticks, union, waiting } from './lanes.js';
import type { Dispatch } from './trace.js';

/** Lengths are in pixels. */
const WIDTH = 960;
const MARGIN = 24;
const LABEL = 96;
const LANE = 30;
const BAR = 18;
const FOOT = 28;

/** What is closer together than this is drawn as one, so that a trace of millions does not make a picture of millions. */
const GAP = 0.25;

/** The least that can be seen. */
const LEAST = 0.6;

const STYLE = `
  text { font: 12px ui-sans-serif, system-ui, sans-serif; fill: #57606a }
  .run { fill: #0969da }
  .wait { fill: #0969da; opacity: .22 }
  line { stroke: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 }
    .run, .wait { fill: #58a6ff }
    line { stroke: #3d444d }
  }
`;

/** Draws lanes as one SVG: a lane a priority, when its handlers ran in full tone, and when sources waited for their turn in a light one. */
export function drawSvg({ span, lanes }: Lanes): string {
  const height = MARGIN + lanes.length * LANE + FOOT;
  const scale = (WIDTH - 2 * MARGIN - LABEL) / (span.end - span.begin || 1);
  const x = (time: number) => MARGIN + LABEL + (time - span.begin) * scale;
  const bottom = MARGIN + lanes.length * LANE;
  const times = ticks(span, 8).map((time) => {
    const at = round(x(span.begin + time));
    return `<line x1="${at}" x2="${at}" y1="${MARGIN}" y2="${bottom + 4}"/><text x="${at}" y="${bottom + 18}" text-anchor="middle">${formatTime(time)}</text>`;
  });
  const rows = lanes.map((lane, index) => drawLane(lane, MARGIN + index * LANE, span, x, GAP / scale));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>What a loop did in ${formatTime(span.end - span.begin)}</title>
<style>${STYLE}</style>
${[...times, ...rows].join('\n')}
</svg>
`;
}

function drawLane(
  { priority, dispatches }: Lane,
  top: number,
  within: Span,
  x: (time: number) => number,
  gap: number,
): string {
  const y = top + (LANE - BAR) / 2;
  const bar = (kind: string, { begin, end }: Span, title: string) => {
    const from = x(Math.max(begin, within.begin));
    const width = Math.max(x(Math.min(end, within.end)) - from, LEAST);
    return `<rect class="${kind}" x="${round(from)}" y="${y}" width="${round(width)}" height="${BAR}"><title>${escapeXml(title)}</title></rect>`;
  };
  const waits = union(waiting(dispatches), gap).map((span) =>
    bar('wait', span, `waiting for ${formatTime(span.end - span.begin)}`),
  );
  const runs = clusters(dispatches, gap).map((cluster) => bar('run', cluster.span, titleOf(cluster)));
  const label = `<text x="${MARGIN}" y="${top + LANE / 2 + 4}">priority ${priority}</text>`;
  return [label, ...waits, ...runs].join('\n');
}

/** Dispatches that are too close to be told apart. */
interface Cluster {
  readonly span: Span;
  readonly first: Dispatch;
  readonly count: number;
}

function clusters(dispatches: readonly Dispatch[], gap: number): Cluster[] {
  const all: Cluster[] = [];
  for (const dispatch of dispatches) {
    const { begin, end } = dispatch;
    const last = all.at(-1);
    if (last !== undefined && begin - last.span.end <= gap)
      all[all.length - 1] = { ...last, span: { begin: last.span.begin, end }, count: last.count + 1 };
    else all.push({ span: { begin, end }, first: dispatch, count: 1 });
  }
  return all;
}

function titleOf({ span, first, count }: Cluster): string {
  const time = formatTime(span.end - span.begin);
  if (count > 1) return `${count} handlers within ${time}, the first of ${nameOf(first)}`;
  return `${nameOf(first)}: ran ${time}, had waited ${formatTime(first.begin - first.pending)}`;
}

function round(pixels: number): number {
  return Math.round(pixels * 100) / 100;
}

/** As text of XML. */
function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

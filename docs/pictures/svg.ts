/** Lengths are in pixels. */
export const WIDTH = 800;
export const MARGIN = 16;

/** The colours of GitHub, which shows the pictures, too. */
const STYLE = `
  text { font: 13px ui-sans-serif, system-ui, "Noto Sans", "Liberation Sans", sans-serif; fill: #1f2328 }
  .aside { fill: #59636e }
  .small { font-size: 11px }
  .in { fill: #ffffff; font-weight: 600 }
  .run { fill: #0969da }
  .wait { fill: #0969da; opacity: .22 }
  .other { fill: #1a7f37 }
  .other-wait { fill: #1a7f37; opacity: .22 }
  .held { fill: url(#hatch) }
  .hatch { stroke: #9a6700 }
  .frame { fill: none; stroke: #d0d7de }
  .area { fill: #d0d7de; opacity: .35 }
  line { stroke: #d0d7de }
  .moment { stroke: #59636e; stroke-dasharray: 3 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .aside { fill: #9198a1 }
    .in { fill: #0d1117 }
    .run, .wait { fill: #58a6ff }
    .other, .other-wait { fill: #3fb950 }
    .hatch { stroke: #d29922 }
    .frame { stroke: #3d444d }
    .area { fill: #3d444d }
    line { stroke: #3d444d }
    .moment { stroke: #9198a1 }
  }
`;

const HATCH = `<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" x2="0" y1="0" y2="6" stroke-width="3"/></pattern></defs>`;

/** A stretch of time on a picture, in milliseconds, and where on it each moment is. */
export class Scale {
  readonly #pixels: number;

  /** @param left of the begin @param right of the end */
  constructor(
    readonly begin: number,
    readonly end: number,
    readonly left: number,
    readonly right = WIDTH - MARGIN,
  ) {
    this.#pixels = (right - left) / (end - begin);
  }

  /** Where a moment is; one outside is at the edge. */
  x(time: number): number {
    return round(this.left + (Math.min(Math.max(time, this.begin), this.end) - this.begin) * this.#pixels);
  }

  /** What stands below: times in steps of `step` milliseconds, and where they are. */
  axis(top: number, bottom: number, step: number): string {
    const count = Math.floor((this.end - this.begin) / step + 1e-9);
    const times = Array.from({ length: count + 1 }, (_, index) => index * step);
    return times
      .map((time) => {
        const x = this.x(this.begin + time);
        return `${line(x, top, x, bottom + 5)}${text(x, bottom + 19, `${time} ms`, 'aside small', 'middle')}`;
      })
      .join('\n');
  }
}

/** A whole picture. @param title what is seen, for who can't see it */
export function picture(height: number, title: string, parts: readonly string[]): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
${HATCH}
${parts.join('\n')}
</svg>
`;
}

/** @param kind of the style @param hint shown by browsers to who points at it */
export function bar(kind: string, x: number, y: number, width: number, height: number, hint = ''): string {
  const title = hint === '' ? '' : `<title>${escapeXml(hint)}</title>`;
  return `<rect class="${kind}" x="${x}" y="${y}" width="${round(Math.max(width, 1))}" height="${height}" rx="2">${title}</rect>`;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind = ''): string {
  const style = kind === '' ? '' : ` class="${kind}"`;
  return `<line${style} x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`;
}

export function text(x: number, y: number, content: string, kind = '', anchor = 'start'): string {
  const style = kind === '' ? '' : ` class="${kind}"`;
  const where = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text${style} x="${x}" y="${y}"${where}>${escapeXml(content)}</text>`;
}

export function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

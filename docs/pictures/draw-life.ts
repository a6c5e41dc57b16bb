import { momentOf, type Recording } from './recording.js';
import { bar, line, MARGIN, picture, Scale, text, WIDTH } from './svg.js';

const LABEL = 150;
const BAR = 26;
const TOP = 70;
const SECOND = TOP + 56;
const BOTTOM = SECOND + BAR + 12;

/** The life of the source `requests`, beside one that goes before it. */
export function drawLife({ dispatches, moments }: Recording): string {
  const subscribed = momentOf(moments, /^subscribed/);
  const ends = momentOf(moments, /^limit ends/);
  const unsubscribed = momentOf(moments, /^unsubscribed/);
  const scale = new Scale(subscribed - 8, unsubscribed + 12, LABEL);
  const own = dispatches.filter(({ description }) => description === 'requests');
  const [first, second, third] = own;
  if (first === undefined || second === undefined || third === undefined)
    throw new Error('three dispatches are to be drawn');
  const span = (kind: string, y: number, begin: number, end: number, hint: string) =>
    bar(kind, scale.x(begin), y, scale.x(end) - scale.x(begin), BAR, hint);
  const number = (index: number, time: number, word: string, above: number, anchor = 'start') => [
    line(scale.x(time), above + 6, scale.x(time), SECOND, 'moment'),
    text(scale.x(time), above, `${index} ${word}`, '', anchor),
  ];
  const urgent = dispatches.filter(({ description }) => description === 'urgent');
  return picture(
    BOTTOM + 70,
    'The life of a source: subscribed, pending, dispatched, held back by its rate limit, unsubscribed',
    [
      scale.axis(TOP - 8, BOTTOM, 20),
      text(MARGIN, TOP + 17, 'priority -10: urgent'),
      text(MARGIN, SECOND + 17, 'priority 0: requests'),
      ...urgent.map(({ begin, end }) => span('run', TOP, begin, end, 'the handler of urgent runs')),
      span('frame', SECOND, subscribed, unsubscribed, 'the source is in the loop'),
      ...own.map(({ pending, begin }) => span('wait', SECOND, pending, begin, 'pending: it waits for its turn')),
      span('held', SECOND, third.pending, ends, 'held back by its rate limit'),
      ...own.map(({ begin, end }) => span('run', SECOND, begin, end, 'its handler runs')),
      ...number(1, subscribed, 'subscribed', 18),
      ...number(2, first.begin, 'dispatched', 36),
      ...number(3, second.pending, 'pending', 54, 'end'),
      ...number(4, second.begin, 'dispatched', 18),
      ...number(5, third.pending, 'held back', 36),
      ...number(6, third.begin, 'dispatched', 54),
      ...number(7, unsubscribed, 'unsubscribed', 18, 'end'),
      ...legend(BOTTOM + 40),
    ],
  );
}

function legend(y: number): string[] {
  const kinds = [
    ['frame', 'watched by the kernel'],
    ['wait', 'pending, waits for its turn'],
    ['run', 'its handler runs'],
    ['held', 'held back'],
  ] as const;
  const width = (WIDTH - LABEL - MARGIN) / kinds.length;
  return kinds.flatMap(([kind, meaning], index) => {
    const x = MARGIN + index * (width + 40);
    return [bar(kind, x, y, 18, 14), text(x + 26, y + 12, meaning, 'aside')];
  });
}

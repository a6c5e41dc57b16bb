import { momentOf, type RestartRecording } from './recording.js';
import { bar, line, MARGIN, picture, Scale, text } from './svg.js';

const LABEL = 130;
const BAR = 26;
const TOP = 66;
const LANE = 40;

/** Both processes of a restart, what the service manager was told, and who has answered the clients. */
export function drawRestart({ former, successor, moments, requests }: RestartRecording): string {
  const begin = momentOf(moments, /^begin/);
  const asked = momentOf(moments, /^SIGHUP/);
  const started = momentOf(moments, /^successor starts/);
  const main = momentOf(moments, /^MAINPID=/);
  const ended = momentOf(moments, /^former ends/);
  const end = Math.max(...requests.map((request) => request.end));
  const scale = new Scale(begin, end, LABEL);
  const lane = (index: number) => TOP + index * LANE;
  const span = (kind: string, index: number, from: number, to: number, hint: string) =>
    bar(kind, scale.x(from), lane(index), scale.x(to) - scale.x(from), BAR, hint);
  const label = (index: number, word: string) => text(MARGIN, lane(index) + 17, word);
  const within = (index: number, from: number, to: number, word: string, kind: string) =>
    text((scale.x(from) + scale.x(to)) / 2, lane(index) + 17, word, kind, 'middle');
  const bottom = lane(4);
  const isLate = (time: number) => time > (begin + end) / 2;
  const moment = (time: number, y: number, word: string) => [
    line(scale.x(time), y + 6, scale.x(time), bottom, 'moment'),
    isLate(time) ? text(scale.x(time) - 4, y, word, 'aside', 'end') : text(scale.x(time) + 4, y, word, 'aside'),
  ];
  const drawn = requests.map(({ path, pid, begin, end }) => {
    const slow = path.startsWith('/slow');
    const hint = `${path}: answered by the ${pid === former ? 'former' : 'new'} process after ${Math.round(end - begin)} ms`;
    return span(pid === successor ? 'other' : 'run', slow ? 2 : 3, begin, end, hint);
  });
  return picture(
    bottom + 30,
    'A restart: the new process starts beside the former one, and takes over; no request is lost',
    [
      scale.axis(TOP - 8, bottom, stepOf(end - begin)),
      ...moment(asked, 18, 'systemctl reload: SIGHUP'),
      ...moment(main, 36, 'READY=1 and MAINPID= of the new process'),
      ...moment(ended, 54, 'the former process ends'),
      label(0, 'former process'),
      span('run', 0, begin, main, 'it serves'),
      span('wait', 0, main, ended, 'it finishes what it has begun'),
      within(0, begin, main, 'serves', 'in'),
      within(0, main, ended, 'finishes', ''),
      label(1, 'new process'),
      span('other-wait', 1, started, main, 'it starts'),
      span('other', 1, main, end, 'it serves'),
      within(1, started, main, 'starts', ''),
      within(1, main, end, 'serves', 'in'),
      label(2, 'a long request'),
      label(3, 'short requests'),
      ...drawn,
    ],
  );
}

/** Steps of an axis, so that there are five to ten of them. */
function stepOf(time: number): number {
  return [50, 100, 200, 500, 1000, 2000].find((step) => time / step <= 10) ?? 5000;
}

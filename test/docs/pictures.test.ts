import { readFileSync } from 'node:fs';
import t from 'tap';
import { PICTURES } from '#docs/pictures/pictures.js';
import { recordLife } from '#docs/pictures/record-life.js';
import { recordOrder } from '#docs/pictures/record-order.js';
import { recordRestart } from '#docs/pictures/record-restart.js';

function committed(file: string): string {
  return readFileSync(new URL(`../../../docs/pictures/${file}`, import.meta.url), 'utf8');
}

t.test('the pictures of docs are what is drawn from the recordings beside them', (t) => {
  t.ok(PICTURES.length >= 3);
  for (const { name, draw } of PICTURES) {
    t.equal(draw(JSON.parse(committed(`${name}.json`))), committed(`${name}.svg`), name);
  }
  t.end();
});

t.test('the order of dispatch is still the one of its picture', async (t) => {
  const orderOf = ({ dispatches }: Awaited<ReturnType<typeof recordOrder>>) =>
    dispatches.map(({ kind, description, priority }) => `${priority} ${kind} ${description}`);
  const recording = await recordOrder();
  const order = orderOf(recording);
  t.strictSame(order, [
    '-10 signal reload',
    '0 io requests',
    '-5 io urgent',
    '0 io answers',
    '5 defer tidy up',
    '10 post save',
    '-1 exiting say goodbye',
    '1 exiting close the log',
  ]);
  t.strictSame(order, orderOf(JSON.parse(committed('order-of-dispatch.json'))));
  t.equal(recording.moments.filter(({ what }) => what === 'prepare').length, 6, 'once an iteration, until the exit');
});

t.test('a source still lives as its picture shows', async (t) => {
  const { dispatches, moments } = await recordLife();
  t.strictSame(
    dispatches.map(({ description }) => description),
    ['requests', 'urgent', 'requests', 'requests'],
  );
  t.strictSame(
    moments.map(({ what }) => what),
    ['subscribed', 'limit ends', 'unsubscribed'],
  );
  const [, urgent, second, third] = dispatches;
  t.ok(urgent && second && second.pending < urgent.end && second.begin >= urgent.end, 'it waits for the urgent one');
  const ends = moments[1]?.at ?? 0;
  t.ok(third && third.pending < ends && third.begin >= ends, 'it is held back until the limit ends');
});

t.test('the picture has the rate limit of which docs/loop.md tells', (t) => {
  const { dispatches, moments }: Awaited<ReturnType<typeof recordLife>> = JSON.parse(
    committed('life-of-a-source.json'),
  );
  const begin = dispatches.find(({ description }) => description === 'requests')?.begin ?? 0;
  const end = moments.find(({ what }) => what === 'limit ends')?.at ?? 0;
  t.ok(end - begin >= 70 && end - begin < 100, `${end - begin} ms`);
  t.end();
});

t.test('a restart still goes as its picture shows', async (t) => {
  const { former, successor, moments, requests } = await recordRestart();
  t.strictSame(
    moments
      .map(({ at, what }) => ({ at, what }))
      .sort((a, b) => a.at - b.at)
      .map(({ what }) => what.split('\n')[0]?.replace(/\d+$/, 'N'))
      .filter((what) => what !== 'successor starts'),
    ['begin', 'SIGHUP', 'RELOADING=N', 'MAINPID=N', 'BARRIER=N', 'former ends'],
  );
  const answered = new Set(requests.map(({ pid }) => pid));
  t.strictSame(
    answered,
    new Set([former, successor]),
    'each request was answered, by one of the two, and both have answered some',
  );
});

import t from 'tap';
import { RunningExample } from './running-example.js';

t.test('it tells full seconds, and ends at the time that it is given', async (t) => {
  const closingTime = Date.now() + 3500;
  const example = new RunningExample(t, 'time', { args: [new Date(closingTime).toISOString()] });
  t.equal(await example.ended(), 0);
  t.ok(Date.now() >= closingTime, 'it did not end early');

  const seconds = example.lines.map((line) => Date.parse(line.slice(0, line.indexOf(','))));
  t.strictSame(
    seconds.filter((time) => time % 1000 !== 0),
    [],
  );
  t.strictSame([...new Set(seconds)].sort(), seconds, 'each once and in order');
});

t.test('it ends on SIGTERM before', async (t) => {
  const example = new RunningExample(t, 'time');
  await example.prints(/noticed \d+\.\d{3} ms later$/);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

import t from 'tap';
import { RunningExample } from './running-example.js';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  t.test(`it ends well on ${signal}`, async (t) => {
    const example = new RunningExample(t, 'exit-on-signal');
    await example.prints('ready');
    example.kill(signal);
    t.equal(await example.ended(), 0);
    t.match(example.lines, ['ready', new RegExp(`^signal \\d+ of process ${process.pid} ends it$`), 'clean']);
  });
}

t.test('another signal keeps its action', async (t) => {
  const example = new RunningExample(t, 'exit-on-signal');
  await example.prints('ready');
  example.kill('SIGUSR2');
  t.equal(await example.ended(), 'SIGUSR2');
});

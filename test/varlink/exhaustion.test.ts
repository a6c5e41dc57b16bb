import t from 'tap';
import { programPath } from '../support/program-path.js';
import { runWithLimit } from '../support/run-with-limit.js';
import { systemError } from './fixture.js';

t.test('however many descriptors messages bring that do not end, there is room for those of another one', (t) => {
  const program = programPath('./programs/fds-without-end.js', import.meta.url);
  const result = runWithLimit(2048, program) as Record<string, unknown>;
  t.match(result, { reason: 'descriptors', first: systemError(24, 'EMFILE'), answered: ['parameters'] });
  t.ok(Number(result.refused) > 0 && Number(result.held) > 1000, JSON.stringify(result));
  t.end();
});

t.test('where the process can have few descriptors, accepting leaves some for messages', (t) => {
  const program = programPath('./programs/accept-with-reserve.js', import.meta.url);
  const result = runWithLimit(1200, program) as Record<string, unknown>;
  t.match(result, { exhausted: true, answered: ['parameters'], accepted: true });
  t.end();
});

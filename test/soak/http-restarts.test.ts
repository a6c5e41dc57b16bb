import t from 'tap';
import { restartUnderLoad } from '../examples/http-service-restarts.js';

t.setTimeout(1_800_000);

for (const whose of ['passed', 'own'] as const) {
  t.test(`nothing is lost and nothing is left over 100 restarts with sockets that are ${whose}`, (t) =>
    restartUnderLoad(t, 100, whose),
  );
}

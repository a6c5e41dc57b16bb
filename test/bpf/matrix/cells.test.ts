import t from 'tap';
import { ATTEMPTS } from './attempts.js';
import { ENVIRONMENTS } from './environments.js';
import { MOUNTS } from './mounts.js';
import { isRefused } from './rule.js';

const cells = ENVIRONMENTS.flatMap((environment) => environment.cells.map((cell) => ({ ...cell, environment })));
const refused = cells.filter(({ attempt, mount, environment }) => isRefused(attempt.meets, environment.task, mount));
const allowed = cells.filter((cell) => !refused.includes(cell));

t.test('each attempt that the rule is about is refused somewhere, and each is allowed somewhere', async (t) => {
  const names = ATTEMPTS.map(({ name }) => name);
  const about = ATTEMPTS.filter(({ meets }) => meets !== undefined).map(({ name }) => name);
  t.strictSame(
    about.filter((name) => refused.every(({ attempt }) => attempt.name !== name)),
    [],
  );
  t.strictSame(
    names.filter((name) => allowed.every(({ attempt }) => attempt.name !== name)),
    [],
  );
});

t.test('something is allowed in each namespace, and something refused below each that is registered', async (t) => {
  for (const environment of ENVIRONMENTS)
    t.ok(
      allowed.some((cell) => cell.environment === environment),
      environment.name,
    );
  const lent = ENVIRONMENTS.filter(({ steps }) => steps.includes('user:lent'));
  for (const environment of lent)
    t.ok(
      refused.some((cell) => cell.environment === environment),
      environment.name,
    );
});

t.test('on each mount something is tried, and what is below has all depths that there are', async (t) => {
  const tried = new Set(cells.map(({ mount }) => mount));
  const written = new Set(MOUNTS.flatMap(({ upper }) => upper ?? []));
  t.strictSame(
    MOUNTS.filter((mount) => !tried.has(mount) && !written.has(mount)),
    [],
  );
  const depths = ENVIRONMENTS.filter(({ name }) => name.startsWith('nested')).length;
  t.equal(depths, 33);
});

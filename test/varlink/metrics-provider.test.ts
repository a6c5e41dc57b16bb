import { type Metric, metricsInterface, metricsProvider } from '@sdrx/varlink';
import { lastValueFrom, map, toArray } from 'rxjs';
import t from 'tap';
import { withServer } from './fixture.js';

const { methods, errors } = metricsInterface;
const FAMILIES = [
  { name: 'org.example.board.notesTotal', description: 'Notes that were put up', type: 'counter' },
  { name: 'org.example.board.size', description: 'By the board', type: 'gauge' },
  { name: 'org.example.board.last', description: 'The last note', type: 'string' },
  { name: 'org.example.board.sizes', description: 'How long they are', type: 'object' },
] as const;

t.test('metrics and their families come each in a reply, as they are at the moment', async (t) => {
  let notes = 0;
  const read = (): Metric[] => [
    { name: FAMILIES[0].name, value: ++notes },
    { name: FAMILIES[1].name, object: 'black', fields: { colour: 'black' }, value: 2.5 },
    { name: FAMILIES[1].name, object: 'white', value: Number.NaN },
    { name: FAMILIES[2].name, value: 'x' },
    { name: FAMILIES[3].name, value: { sum: 5 } },
  ];
  await withServer([metricsProvider(FAMILIES, read)], async (fixture) => {
    const client = fixture.client();
    const list = () =>
      lastValueFrom(
        client.more(methods.List, {}).pipe(
          map(({ parameters }) => parameters),
          toArray(),
        ),
      );
    const [first, ...others] = await list();
    t.strictSame(first, { name: 'org.example.board.notesTotal', value: 1 });
    t.strictSame(others, [
      { name: 'org.example.board.size', object: 'black', fields: { colour: 'black' }, value: 2.5 },
      { name: 'org.example.board.last', value: 'x' },
      { name: 'org.example.board.sizes', value: { sum: 5 } },
    ]);
    t.match((await list())[0], { value: 2 });
    const families = await lastValueFrom(client.more(methods.Describe, {}).pipe(toArray()));
    t.strictSame(
      families.map(({ parameters }) => parameters),
      FAMILIES,
    );
    await t.rejects(client.call(methods.List, {}), { message: 'org.varlink.service.ExpectedMore' });
  });
});

t.test('who has none says so', (t) =>
  withServer([metricsProvider([], () => [])], async (fixture) => {
    const client = fixture.client();
    for (const replies of [client.more(methods.List, {}), client.more(methods.Describe, {})])
      t.ok(errors.NoSuchMetric.is(await lastValueFrom<unknown>(replies).catch((error: unknown) => error)));
  }),
);

t.test('what fails to be read is a failure of the service', (t) => {
  const read = () => {
    throw new TypeError('a mistake');
  };
  return withServer([metricsProvider(FAMILIES, read)], async (fixture) => {
    await t.rejects(lastValueFrom(fixture.client().more(methods.List, {})), { message: /EIO/ });
    t.match(fixture.failures, [{ message: 'a mistake' }]);
  });
});

t.test('families have names that systemd-report takes', (t) => {
  const family = { name: 'a.b.c', description: '', type: 'gauge' } as const;
  for (const name of ['c', 'a.c', 'a.b.', 'a.b.c_', 'a.b.c-d', '.c', ''])
    t.throws(() => metricsProvider([{ ...family, name }], () => []), { name: 'TypeError' }, name);
  t.throws(() => metricsProvider([{ ...family, type: 'histogram' as never }], () => []), {
    message: '`families[0].type` must be one of counter, gauge, string, object',
  });
  t.doesNotThrow(() => metricsProvider([{ ...family, name: 'a.b.c_d1' }], () => []));
  t.end();
});

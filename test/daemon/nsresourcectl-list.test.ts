import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import t from 'tap';
import { control, onTerminal, startControl } from '../support/nsresourcectl.js';
import { RegistryFolder } from '../support/registry-folder.js';
import { until } from '../support/until.js';

const PARENT: NamespaceEntry = {
  owner: 1000,
  name: '1000-parent',
  userns: 4_026_532_177,
  range: { start: 1_429_471_232, size: 65_536, target: 0 },
  cgroups: [],
  delegates: [{ userns: 4_026_532_177, start: 786_432, startGid: 786_432, size: 65_536 }],
};
const ONE: NamespaceEntry = {
  owner: 0,
  name: 'one',
  userns: 4_026_532_180,
  range: { start: 61_970, size: 1, target: 7 },
  cgroups: [],
};

const names = (text: string) => (JSON.parse(text) as { name: string }[]).map(({ name }) => name);

t.test('show finds a namespace by any id that is lent to it, or that it may pass on', async (t) => {
  using folder = new RegistryFolder(PARENT, ONE);
  for (const id of [1_429_471_232, 1_429_536_767, 786_432, 851_967])
    t.match(control(folder, ['show', String(id)]), { output: / 1000-parent\n/, status: 0 }, String(id));
  t.match(control(folder, ['show', '61970']).output, / one\n/);
  for (const id of [1_429_471_231, 1_429_536_768, 61_971, 7]) {
    t.match(control(folder, ['show', String(id)]), {
      output: '',
      errors: /^nsresourcectl: no user namespace/,
      status: 1,
    });
  }
});

t.test('show tells first who has passed an id on, then who has it', async (t) => {
  const child = { ...ONE, range: { start: 786_432, size: 65_536, target: 0 } };
  using folder = new RegistryFolder(PARENT, child);
  const { output } = control(folder, ['show', '790000', '--json']);
  t.strictSame(
    output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).name),
    ['1000-parent', 'one'],
  );
});

t.test('list --watch shows all again after each change', async (t) => {
  using folder = new RegistryFolder();
  using watch = startControl(folder, ['list', '--watch', '--json']);
  const states = () => watch.output().split('\n').filter(Boolean).map(names);
  await until(() => states().length === 1);
  using registry = Registry.open(folder.path);
  registry.store(ONE);
  await until(() => states().length === 2);
  registry.store(PARENT);
  await until(() => states().length === 3);
  registry.remove(ONE);
  await until(() => states().length === 4);
  t.strictSame(states(), [[], ['one'], ['1000-parent', 'one'], ['1000-parent']]);
});

t.test('for people it is a table each time, with an empty line behind it', async (t) => {
  using folder = new RegistryFolder();
  using watch = startControl(folder, ['list', '--watch']);
  await until(() => watch.output() === 'No user namespace is registered.\n\n');
  using registry = Registry.open(folder.path);
  registry.store(ONE);
  await until(() => /\nNAME .*\n-.*\none .*\n\n$/.test(watch.output()));
  t.notMatch(watch.output(), '\x1b');
});

t.test('only a terminal gets colours, and none with NO_COLOR or a dumb one', async (t) => {
  using folder = new RegistryFolder(ONE);
  const plain = control(folder, ['list']).output;
  t.notMatch(plain, '\x1b');
  t.ok(onTerminal(folder, ['list']).startsWith('\x1b[1mNAME '));
  for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
    t.equal(onTerminal(folder, ['list'], env).replaceAll('\r', ''), plain, JSON.stringify(env));
  }
  t.match(onTerminal(folder, ['list'], { NO_COLOR: '' }), '\x1b[1m', 'which is not set if it is empty');
  t.match(onTerminal(folder, ['show', 'nobody']), '\x1b[31mnsresourcectl:\x1b[39m no user namespace');
});

t.test('a reader that has seen enough is no error', async (t) => {
  using folder = new RegistryFolder(ONE);
  const { errors, status } = control(folder, ['list'], ['sh', '-c', '"$@" | true', 'sh']);
  t.strictSame([errors, status], ['', 0]);
});

t.test('what can not be written is an error', async (t) => {
  using folder = new RegistryFolder(ONE);
  const { errors, status } = control(folder, ['list'], ['sh', '-c', 'exec "$@" >/dev/full', 'sh']);
  t.match(errors, /^nsresourcectl: .*ENOSPC/);
  t.equal(status, 1);
});

import { chmodSync, readdirSync, writeFileSync } from 'node:fs';
import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';

const program = programPath('../../../packages/daemon/bin/nsresourcectl', import.meta.url);

const WEB: NamespaceEntry = {
  owner: 0,
  name: 'web',
  userns: 4_026_532_177,
  range: { start: 1_429_471_232, size: 65_536, target: 0 },
  cgroups: [18_446_744_073_709_551_615n, 5n],
};
const ONE: NamespaceEntry = {
  owner: 1000,
  name: '1000-one',
  userns: 4_026_532_180,
  range: { start: 61_970, size: 1, target: 7 },
  cgroups: [],
};
const MAPPED: NamespaceEntry = { owner: 1001, name: '1001-mapped', userns: 4_026_532_190, cgroups: [] };

interface Result {
  readonly output: string;
  readonly errors: string;
  readonly status: number;
}

/** Runs it to its end, about the registry in a folder. */
function run(folder: Folder, args: readonly string[], as: readonly string[] = []): Result {
  const errors = `${folder.path}.errors`;
  writeFileSync(errors, '', { mode: 0o666 });
  chmodSync(errors, 0o666);
  const script = `exec 2>'${errors}' "$@"`;
  const command = [...as, process.execPath, program, `--runtime-directory=${folder.path}`, ...args];
  const { output, exit } = runProgram('sh', ['-c', script, 'sh', ...command]);
  const { output: text } = runProgram('sh', ['-c', `cat '${errors}'; rm '${errors}'`]);
  return { output, errors: text, status: exit.code === 'exited' ? exit.status : -1 };
}

/** A folder with a registry that has these entries. */
function folderWith(...entries: readonly NamespaceEntry[]): Folder {
  const folder = new Folder();
  using registry = Registry.open(folder.path);
  for (const entry of entries) registry.store(entry);
  return folder;
}

const words = (text: string) => text.split('\n').map((line) => line.trim().split(/\s+/));

t.test('list shows all namespaces, a line each, by name', async (t) => {
  using folder = folderWith(WEB, MAPPED, ONE);
  const { output, errors, status } = run(folder, ['list']);
  const [heading, , ...rows] = words(output);
  t.strictSame(heading, ['NAME', 'OWNER', 'INODE', 'IDS', 'TARGET', 'CGROUPS', 'NETIFS', 'DELEGATES']);
  t.strictSame(rows, [
    ['1000-one', '1000', '4026532180', '61970-61970', '7', '0', '0', '0'],
    ['1001-mapped', '1001', '4026532190', '-', '-', '0', '0', '0'],
    ['web', '0', '4026532177', '1429471232-1429536767', '0', '2', '0', '0'],
    [''],
  ]);
  t.strictSame([errors, status], ['', 0]);
  t.strictSame(run(folder, []), { output, errors, status }, 'which is also what it does without a word');
});

t.test('list of an empty registry is empty, and says so', async (t) => {
  using folder = folderWith();
  t.strictSame(run(folder, ['list']), { output: '', errors: 'No user namespace is registered.\n', status: 0 });
  t.strictSame(JSON.parse(run(folder, ['list', '--json']).output), []);
});

t.test('show finds a namespace by its name and by its inode', async (t) => {
  using folder = folderWith(WEB, ONE, MAPPED);
  const { output, status } = run(folder, ['show', 'web']);
  t.equal(status, 0);
  t.strictSame(
    output.split('\n').map((line) => line.trim()),
    [
      'Name: web',
      'Owner: 0',
      'Inode: 4026532177',
      'Ids outside: 1429471232-1429536767',
      'Ids inside: 0-65535',
      'Users: ns-web-0 to ns-web-65535',
      'Cgroup: 18446744073709551615',
      'Cgroup: 5',
      '',
    ],
  );
  t.equal(run(folder, ['show', '4026532177']).output, output);
  t.match(run(folder, ['show', '1000-one']).output, /Ids inside: 7-7\n *Users: ns-1000-one-0\n$/);
  t.notMatch(run(folder, ['show', '1001-mapped']).output, 'Ids');
});

t.test('show tells all that a later systemd has written', async (t) => {
  using folder = folderWith();
  const text =
    '{"owner":1000,"name":"1000-new","userns":7,"usernsId":18446744073709551615,"size":1,"start":65000,"target":0,' +
    '"startGid":65001,"targetGid":5,"setgroupsDeny":true,"netifs":["ns-1","\\u001b[2Jx"],' +
    '"delegates":[{"userns":7,"start":786432,"startGid":786432,"size":65536},{"start":851968,"startGid":917504,"size":65536}],' +
    '"la\\u202eter":[1.50,9007199254740993]}';
  for (const file of ['i7', 'n1000-new']) writeFileSync(folder.join(`nsresource/registry/${file}.userns`), text);
  const { output, status } = run(folder, ['show', '7']);
  t.equal(status, 0);
  t.strictSame(
    output.split('\n').map((line) => line.trim()),
    [
      'Name: 1000-new',
      'Owner: 1000',
      'Inode: 7',
      'Namespace id: 18446744073709551615',
      'Ids outside: 65000-65000',
      'Ids inside: 0-0',
      'Groups outside: 65001-65001',
      'Groups inside: 5-5',
      'Users: ns-1000-new-0',
      'setgroups(2): denied',
      'Interface: ns-1',
      'Interface: ?[2Jx',
      'Delegated ids: 786432-851967',
      'Delegated ids: 851968-917503, groups 917504-983039',
      'la?ter: [1.50,9007199254740993]',
      '',
    ],
  );
  const json = text.replace('"size":1,"start":65000', '"start":65000,"size":1').replace('\\u202e', '\u202e');
  t.equal(run(folder, ['show', '7', '--json']).output, `${json}\n`);
  t.match(run(folder, []).output, / 0 +2 +2\n$/);
});

t.test('a name goes before an inode', async (t) => {
  using folder = folderWith(WEB, { ...MAPPED, name: '4026532177' });
  t.match(run(folder, ['show', '4026532177']).output, /Name: 4026532177\n *Owner: 1001/);
});

t.test('--json prints what the registry has, with all digits of long numbers', async (t) => {
  using folder = folderWith(WEB, MAPPED);
  const web =
    '{"owner":0,"name":"web","userns":4026532177,"start":1429471232,"size":65536,"target":0,"cgroups":[18446744073709551615,5]}';
  const mapped = '{"owner":1001,"name":"1001-mapped","userns":4026532190}';
  t.equal(run(folder, ['--json', 'show', 'web']).output, `${web}\n`);
  t.equal(run(folder, ['list', '--json']).output, `[\n${mapped},\n${web}\n]\n`);
});

t.test('what is not registered is an error', async (t) => {
  using folder = folderWith(WEB);
  for (const which of ['nobody', '1', '', '../lock', 'a/b', '99999999999']) {
    const { output, errors, status } = run(folder, ['show', which]);
    t.strictSame([output, status], ['', 1]);
    t.match(errors, `no user namespace '${which}' is registered`);
  }
});

t.test('an entry that can not be read is warned of, the others are shown', async (t) => {
  using folder = folderWith(WEB);
  writeFileSync(folder.join('nsresource/registry/i4711.userns'), 'nonsense');
  const { output, errors, status } = run(folder, ['list']);
  t.match(output, 'web');
  t.match(errors, /EBADMSG: bad message, read '.*\/i4711\.userns'/);
  t.equal(status, 1);
  t.equal(run(folder, ['show', '4711']).status, 1);
});

t.test('without a registry there is nothing to show, and none is made', async (t) => {
  using folder = new Folder();
  const { output, errors, status } = run(folder, ['list']);
  t.strictSame([output, status], ['', 1]);
  t.match(errors, `there is no registry, ${folder.path}/nsresource/registry: no daemon has run`);
  t.equal(run(folder, ['show', 'web']).errors.replace(/\d+/, ''), errors.replace(/\d+/, ''));
  const nonsense = run(folder, ['shwo', 'web']);
  t.match(nonsense, { status: 2, errors: /no such command: 'shwo web'/ });
  t.match(run(folder, ['reload']), { status: 1, errors: /no nsresourced is there to be reloaded: nobody listens at / });
  t.strictSame(readdirSync(folder.path), []);
});

t.test('every user may look', needsRoot, async (t) => {
  using folder = folderWith(WEB);
  chmodSync(folder.path, 0o755);
  const before = readdirSync(folder.path, { recursive: true });
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const { output, errors, status } = run(folder, ['list'], nobody);
  t.match(output, 'web', errors);
  t.equal(status, 0);
  t.strictSame(readdirSync(folder.path, { recursive: true }), before);
});

for (const args of [['what'], ['show'], ['show', 'a', 'b'], ['list', 'web'], ['--nonsense'], ['--json=short']]) {
  t.test(`'${args.join(' ')}' is no way to call it`, async (t) => {
    using folder = folderWith();
    const { output, errors, status } = run(folder, args);
    t.strictSame([output, status], ['', 2]);
    t.match(errors, /^nsresourcectl/);
  });
}

t.test('a registry that is only viewed can not be changed', async (t) => {
  using folder = folderWith(WEB);
  using registry = Registry.view(folder.path);
  t.equal(registry.byName('web')?.userns, WEB.userns);
  t.throws(() => registry.store(MAPPED), { code: 'EROFS' });
  t.throws(() => registry.lock(), { code: 'EROFS' });
});

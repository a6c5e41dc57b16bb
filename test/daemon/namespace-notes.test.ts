import fs, { chmodSync, lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { NamespaceNotes } from '@sdrx/daemon';
import { EIO, SystemError } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

function notesIn(t: Test): { notes: NamespaceNotes; folder: string; runtime: string } {
  const runtime = t.testdir({ nsresource: {} });
  return { notes: new NamespaceNotes(runtime), folder: `${runtime}/nsresource/namespace-ids`, runtime };
}

const test = (name: string, body: (t: Test) => void) => t.test(name, leavingNothing(body));

test('a death is noted with what tells the entry, the last time counts', (t) => {
  const { notes, folder } = notesIn(t);
  notes.died(5, '1-2');
  notes.died(5, '3-4');
  notes.died(6, '5-6');
  t.same(
    [...notes.deaths()],
    [
      [5, '3-4'],
      [6, '5-6'],
    ],
  );
  t.same(readdirSync(folder).sort(), ['x5', 'x6']);
});

test('an id is noted for one entry, those of earlier releases for any', (t) => {
  const { notes, folder } = notesIn(t);
  const id = (inode: number, file: string) => notes.id({ inode, file });
  notes.remember(5, 2n ** 64n - 1n, '1-2');
  t.same([id(5, '1-2'), id(5, '1-3'), id(6, '1-2')], [2n ** 64n - 1n, undefined, undefined]);
  notes.remember(5, 7n, '1-3');
  t.same([id(5, '1-2'), id(5, '1-3')], [undefined, 7n]);
  symlinkSync('8', `${folder}/i8`);
  t.same([id(8, '1-2'), id(8, '1-3')], [8n, 8n]);
  notes.forget(5);
  t.same([id(5, '1-3'), id(8, '1-2')], [undefined, 8n]);
});

test('all is forgotten but what is registered', (t) => {
  const { notes, folder } = notesIn(t);
  notes.died(5, '1-2');
  notes.died(6, '1-2');
  symlinkSync('7', `${folder}/i7`);
  symlinkSync('8', `${folder}/.#99-8`);
  notes.prune([5, 7]);
  t.same(readdirSync(folder).sort(), ['i7', 'x5']);
});

test('what cannot be removed does not keep the rest', (t) => {
  const { notes, folder } = notesIn(t);
  mkdirSync(`${folder}/i1`, { recursive: true });
  for (const file of ['a', 'i2', 'z']) writeFileSync(`${folder}/${file}`, '');
  t.throws(() => notes.prune([]), { code: /EISDIR|EPERM/ });
  t.same(readdirSync(folder), ['i1']);
});

test('a folder that is a link of one, or a file, is never entered', (t) => {
  const { notes, folder, runtime } = notesIn(t);
  mkdirSync(`${runtime}/foreign`);
  for (const file of ['precious', 'i5', 'x5']) writeFileSync(`${runtime}/foreign/${file}`, 'kept');
  symlinkSync(`${runtime}/foreign`, folder);
  for (const change of [() => notes.prune([]), () => notes.forget(5), () => notes.died(6, '')]) {
    t.throws(change, { code: /ENOTDIR|ELOOP/ });
  }
  t.same([[...notes.deaths()], notes.id({ inode: 5, file: '' })], [[], undefined]);
  t.same(readdirSync(`${runtime}/foreign`).sort(), ['i5', 'precious', 'x5']);
  t.ok(lstatSync(folder).isSymbolicLink());
});

test('a folder that others may write to is not trusted', (t) => {
  const { notes, folder } = notesIn(t);
  notes.died(5, '1-2');
  symlinkSync('7', `${folder}/i7`);
  chmodSync(folder, 0o777);
  t.same([[...notes.deaths()], notes.id({ inode: 7, file: '' })], [[], undefined]);
  t.throws(() => notes.prune([]), { code: 'EPERM', message: new RegExp(folder) });
  t.ok(lstatSync(`${folder}/x5`).isSymbolicLink());
});

/** Lets one call of node:fs fail with EIO. */
function failing(
  name: 'fstatSync' | 'mkdirSync' | 'readdirSync' | 'readlinkSync' | 'symlinkSync' | 'unlinkSync',
  body: () => void,
): void {
  const original = fs[name];
  Object.assign(fs, {
    [name]: () => {
      throw new SystemError(EIO, name);
    },
  });
  syncBuiltinESMExports();
  try {
    body();
  } finally {
    Object.assign(fs, { [name]: original });
    syncBuiltinESMExports();
  }
}

test('a failing disk is an error and leaves neither a descriptor nor half a note', (t) => {
  const { notes, folder } = notesIn(t);
  notes.died(1, 'a');
  notes.died(2, 'a');
  const before = readdirSync(folder);
  const steps: Record<string, () => unknown> = {
    died: () => notes.died(6, 'x'),
    forget: () => notes.forget(1),
    ids: () => notes.id({ inode: 2, file: '' }),
    deaths: () => notes.deaths(),
  };
  for (const [call, names] of [
    ['fstatSync', ['died', 'forget', 'ids', 'deaths']],
    ['mkdirSync', ['died']],
    ['symlinkSync', ['died']],
    ['unlinkSync', ['died', 'forget']],
    ['readlinkSync', ['ids']],
    ['readdirSync', ['deaths']],
  ] as const) {
    for (const name of names)
      failing(call, () => t.throws(() => steps[name]?.(), { code: 'EIO' }, `${call} in ${name}`));
    t.same(readdirSync(folder), before, call);
  }
});

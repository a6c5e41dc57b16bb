import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { BpfError, BpfLink, BpfMap, BpfObject, installUsernsRestrict } from '@sdrx/bpf';
import { EventLoop } from '@sdrx/event';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { loadPackets, needsPrograms, packets } from './packets.js';

/** Makes a shared library that says it is this libbpf, or nothing. @returns its path */
function fakeLibrary(folder: Folder, name: string, source: string): string {
  const path = folder.join(`${name}.so`);
  writeFileSync(folder.join(`${name}.c`), source);
  execFileSync('gcc', ['-shared', '-fPIC', '-o', path, folder.join(`${name}.c`)]);
  return path;
}

const version = (major: number, minor: number) =>
  `unsigned libbpf_major_version(void) { return ${major}; } unsigned libbpf_minor_version(void) { return ${minor}; }`;

t.test(
  'without libbpf the error says which one is needed, whatever needs it',
  leavingNothing((t) => {
    const missing = {
      name: 'BpfError',
      code: 'ERR_LIBBPF_MISSING',
      message: "libnone.so.1 can't be opened, libbpf 1.1 or newer is needed (Debian: package libbpf1)",
    };
    t.throws(() => BpfObject.load('/nowhere', { library: 'libnone.so.1' }), missing);
    using loop = new EventLoop();
    t.throws(() => installUsernsRestrict({ loop, library: 'libnone.so.1' }), missing);
  }),
);

const needsCompiler =
  spawnSync('gcc', ['--version']).status === 0 ? {} : { skip: 'gcc is missing, which makes the old libbpf' };

t.test(
  'an old libbpf is named, with the one that is needed',
  needsCompiler,
  leavingNothing((t) => {
    using folder = new Folder();
    const load = (name: string, source: string) => () =>
      BpfObject.load('/nowhere', { library: fakeLibrary(folder, name, source) });
    const old = { name: 'BpfError', code: 'ERR_LIBBPF_TOO_OLD' };
    t.throws(load('zero', version(0, 8)), {
      ...old,
      message: /zero.so is libbpf 0\.8, libbpf 1\.1 or newer is needed/,
    });
    t.throws(load('one', version(1, 0)), { ...old, message: /is libbpf 1\.0, / });
    t.throws(load('oldest', 'int unused;'), { ...old, message: /is libbpf before 0\.6, / });
    t.throws(load('partial', version(1, 2)), { ...old, message: /lacks what it should have/ });
  }),
);

t.test(
  'what libbpf says goes to the log of whoever asked for it, as it is meant',
  needsPrograms,
  leavingNothing((t) => {
    const logs = [0, 1].map(() => {
      const lines: [string, string][] = [];
      using _object = loadPackets({ log: (level, message) => lines.push([level, message]) });
      return lines;
    });
    for (const lines of logs) {
      t.strictSame(lines[0], ['debug', `loading object from ${packets}`]);
      t.ok(lines.some(([, message]) => message === `license of ${packets} is Dual MIT/GPL`));
      t.notOk(lines.some(([, message]) => message.endsWith('\n') || message.startsWith('libbpf:')));
      t.ok(
        lines.some(([, message]) => /map 'counts': created successfully, fd=\d+/.test(message)),
        'numbers and names are filled in',
      );
    }
    t.equal(logs[0]?.length, logs[1]?.length);
  }),
);

t.test(
  'long messages are whole, of any characters',
  needsPrograms,
  leavingNothing((t) => {
    const name = `/nowhere/ä%s%n${'x'.repeat(10_000)}`;
    const lines: string[] = [];
    t.throws(() => BpfObject.load(name, { log: (_level, message) => lines.push(message) }), BpfError);
    t.equal(lines[0], `loading object from ${name}`);
  }),
);

t.test('a path with a NUL in it is EINVAL', needsPrograms, (t) => {
  const path = '/sys/fs/bpf\0/x';
  const wrong = { name: 'SystemError', code: 'EINVAL' };
  using object = loadPackets();
  using map = object.map('counts');
  t.throws(() => map.pin(path), wrong);
  t.throws(() => BpfMap.openPinned(path), wrong);
  t.throws(() => BpfLink.openPinned(path), wrong);
  t.throws(() => BpfObject.load(path), wrong);
  t.throws(() => loadPackets({ maps: { counts: { pinPath: path } } }), wrong);
  t.end();
});

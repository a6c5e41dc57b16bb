import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { programPath } from '../support/program-path.js';
import { attempt, run } from './run.js';

const root = programPath('../../..', import.meta.url);
const { version } = JSON.parse(readFileSync(join(root, 'packages', 'daemon', 'package.json'), 'utf8'));

const isInstalled = (program: string) =>
  ['/usr/bin', '/usr/sbin', '/bin'].some((folder) => existsSync(`${folder}/${program}`));
const needs = (...programs: readonly string[]) => {
  const missing = programs.filter((program) => !isInstalled(program));
  return missing.length === 0 ? {} : { skip: `not installed: ${missing.join(' ')}` };
};

// lintian takes a busy machine minutes.
t.setTimeout(900_000);

/** Where it is made once, and where it is unpacked. */
const folder = new Folder();
t.teardown(() => folder[Symbol.dispose]());
const tree = folder.join('tree');

const EPOCH = '1790000000';
const make = (to: string, ...through: readonly string[]) =>
  run(
    root,
    'env',
    `SOURCE_DATE_EPOCH=${EPOCH}`,
    ...through,
    process.execPath,
    'scripts/run.js',
    'package',
    `--to=${to}`,
  )
    .trim()
    .split('\n')
    .at(-1) ?? '';

/** What makes it needs the program of the kernel, too. */
const canMake = existsSync(join(root, 'packages', 'daemon', 'bin', 'userns-restrict.bpf.o'))
  ? needs('dpkg-deb')
  : { skip: 'the BPF program was not compiled' };

/** Files that a user would look for, and all that is executable. */
const PLACES = [
  'usr/bin/nsresourcectl',
  'usr/sbin/nsresourced',
  'usr/lib/sdrx-nsresourced/userns-restrict.bpf.o',
  'usr/lib/systemd/network/80-sdrx-nsresourced.link',
  'usr/lib/systemd/network/80-sdrx-nsresourced.network',
  'usr/lib/systemd/system/sdrx-nsresourced.service',
  'usr/lib/systemd/system/sdrx-nsresourced.socket',
  'usr/share/bash-completion/completions/nsresourced',
  'usr/share/bash-completion/completions/nsresourcectl',
  'usr/share/doc/sdrx-nsresourced/changelog.gz',
  'usr/share/doc/sdrx-nsresourced/copyright',
  'usr/share/doc/sdrx-nsresourced/examples/runit/run',
  'usr/share/fish/vendor_completions.d/nsresourcectl.fish',
  'usr/share/fish/vendor_completions.d/nsresourced.fish',
  'usr/share/man/man1/nsresourcectl.1.gz',
  'usr/share/man/man7/sdrx-event.7.gz',
  'usr/share/man/man8/nsresourced.8.gz',
  'usr/share/polkit-1/actions/sdrx-nsresourced.policy',
  'usr/share/zsh/vendor-completions/_nsresourcectl',
  'usr/share/zsh/vendor-completions/_nsresourced',
];

/** The pages of the manual that the package has. */
function manPages(): string[] {
  const manual = `${tree}/usr/share/man`;
  return readdirSync(manual, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.gz'))
    .map((path) => `${manual}/${path}`);
}

t.test('the Debian package of the daemon', canMake, async (t) => {
  const file = make(folder.path);

  await t.test('is the same, byte by byte, whenever and wherever it is made', (t) => {
    const other = folder.join('other');
    const again = make(other, 'sh', '-c', 'umask 077; TZ=Asia/Tokyo LC_ALL=C exec "$0" "$@"');
    t.not(again, file);
    t.ok(readFileSync(again).equals(readFileSync(file)));
    t.end();
  });

  await t.test('has each file at its place, for all to read and only for root to change', (t) => {
    run(folder.path, 'dpkg-deb', '--extract', file, tree);
    for (const path of PLACES) t.ok(existsSync(`${tree}/${path}`), path);
    const list = run(folder.path, 'dpkg-deb', '--contents', file).trim().split('\n');
    const odd = list.filter((line) => !/^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x|lrwxrwxrwx) root\/root /.test(line));
    t.strictSame(odd, []);
    t.strictSame(
      list.filter((line) => /musl|\.map\b|\.d\.ts|\/src\/.*\.cc/.test(line)),
      [],
      'nothing that it does not run',
    );
    t.equal(run(folder.path, 'dpkg-deb', '--field', file, 'Version').trim(), version);
    t.end();
  });

  await t.test('runs from there, by itself', (t) => {
    for (const [program, place] of [
      ['nsresourced', 'usr/sbin'],
      ['nsresourcectl', 'usr/bin'],
    ])
      t.equal(run('/', process.execPath, `${tree}/${place}/${program}`, '--version'), `${program} ${version}\n`);
    const head = readFileSync(`${tree}/usr/sbin/nsresourced`, 'utf8').split('\n', 1);
    t.strictSame(head, ['#!/usr/bin/node'], 'on the Node that it depends on');
    t.end();
  });

  await t.test('depends on a C library that has what its native file wants', needs('readelf'), (t) => {
    const [native = ''] = execFileSync('find', [tree, '-name', '*.node'], { encoding: 'utf8' }).split('\n');
    const symbols = run(folder.path, 'readelf', '--dyn-syms', '--wide', native);
    const depends = run(folder.path, 'dpkg-deb', '--field', file, 'Depends');
    const [, promised = ''] = /libc6 \(>= 2\.(\d+)\)/.exec(depends) ?? [];
    const wanted = [...symbols.matchAll(/@GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
    t.ok(wanted.length > 0 && Math.max(...wanted) <= Number(promised), `${Math.max(...wanted)} ${promised}`);
    const needed = [...run(folder.path, 'readelf', '--dynamic', native).matchAll(/NEEDED.*\[(.*)\]/g)].map(
      ([, name = '']) => name,
    );
    t.strictSame(
      needed.filter((name) => !/^(libc|libm|libstdc\+\+|libgcc_s|ld-linux-.*)\.so\.\d$/.test(name)),
      [],
    );
    t.end();
  });

  await t.test('has units of its own names, whose aliases are those of systemd', (t) => {
    for (const kind of ['service', 'socket']) {
      const unit = readFileSync(`${tree}/usr/lib/systemd/system/sdrx-nsresourced.${kind}`, 'utf8');
      t.match(unit, new RegExp(`^Alias=systemd-nsresourced\\.${kind}$`, 'm'));
      t.match(unit, /^Documentation=man:nsresourced\(8\)$/m);
      const others = unit.split('\n').filter((line) => /systemd-nsresourced/.test(line) && !line.startsWith('Alias='));
      t.strictSame(others, []);
    }
    const service = readFileSync(`${tree}/usr/lib/systemd/system/sdrx-nsresourced.service`, 'utf8');
    t.match(service, /^ExecStart=\/usr\/sbin\/nsresourced$/m);
    t.match(service, /^ExecReload=\/usr\/bin\/nsresourcectl reload$/m);
    t.end();
  });

  await t.test('names the rights of all that is in it', (t) => {
    const copyright = readFileSync(`${tree}/usr/share/doc/sdrx-nsresourced/copyright`, 'utf8');
    for (const name of ['rxjs', 'io-ts', 'fp-ts', '@posthog/siphash', 'easy-table', 'lossless-json', 'Martignène'])
      t.match(copyright, name);
    t.notMatch(copyright, /@\w+@/, 'every place of the template is filled');
    t.end();
  });

  await t.test("Debian's checks find nothing that is not explained", needs('lintian'), (t) => {
    const levels = ['--fail-on=error,warning', '--tag-display-limit=0', '--allow-root'];
    const { stdout, stderr } = attempt(folder.path, 'lintian', ...levels, file);
    t.strictSame([stdout, stderr.replace(/^running with root.*\n/, '')], ['', '']);
    t.end();
  });

  await t.test('the pages of its manual are sound', needs('mandoc', 'man'), (t) => {
    t.ok(manPages().length >= 2);
    for (const path of manPages()) {
      const page = `${folder.path}/${path.replace(/^.*\//, '').replace(/\.gz$/, '')}`;
      run(folder.path, 'sh', '-c', `gzip --decompress --stdout ${path} > ${page}`);
      t.strictSame(attempt(folder.path, 'mandoc', '-T', 'lint', page), { status: 0, stdout: '', stderr: '' }, page);
      const shown = attempt(
        folder.path,
        'env',
        'LC_ALL=C.UTF-8',
        'MANWIDTH=80',
        'man',
        '--warnings',
        '--local-file',
        page,
      );
      t.strictSame([shown.status, shown.stderr], [0, '']);
      t.strictSame(
        shown.stdout.split('\n').filter((line) => line.length > 80 && !line.includes('http')),
        [],
        'no line is longer than a terminal is wide',
      );
      t.notMatch(shown.stdout, /\\f|\]\(|\*\*|`/, 'nothing of Markdown or troff is left');
    }
    t.end();
  });

  await t.test('the manual has every option of nsresourced, as it says them itself', needs('man'), (t) => {
    const page = `${tree}/usr/share/man/man8/nsresourced.8.gz`;
    const text = run(folder.path, 'env', 'LC_ALL=C.UTF-8', 'MANWIDTH=1000', 'man', '--local-file', page);
    const help = run(folder.path, process.execPath, `${tree}/usr/sbin/nsresourced`, '--help');
    const options = [...help.matchAll(/^ {2}(?:-h, )?(--[a-z-]+)/gm)].map(([, option = '']) => option);
    t.ok(options.length > 15);
    for (const option of options) t.match(text, option);
    // Limits with their defaults, in parentheses at the end of what --help says.
    const limits = [...help.matchAll(/^ {2}(--max-[a-z-]+)=\w+ .*\((\w+)\)$/gm)];
    t.equal(limits.length, 12);
    for (const [, option = '', value = ''] of limits)
      t.match(text, new RegExp(`${option}=\\w+\\s+[^;\\n]*(?:\\n\\s+[^;\\n]*)*; ${value}, from`), option);
    t.end();
  });

  await t.test('bash completes what the programs have', needs('bash'), (t) => {
    const completed = (program: string, ...words: readonly string[]) => {
      const line = [program, ...words];
      const script = `. ${tree}/usr/share/bash-completion/completions/${program}
        compopt() { :; }
        ${program}() { ${process.execPath} ${tree}/usr/*bin/${program} "$@"; }
        COMP_WORDS=("$@"); COMP_CWORD=${line.length - 1}
        _${program} ${program}; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return run(folder.path, 'bash', '-euc', script, 'bash', ...line)
        .trim()
        .split('\n');
    };
    t.strictSame(completed('nsresourced', '--max-w'), ['--max-workers=']);
    t.strictSame(completed('nsresourced', '--userns-restrict', '=', 'o'), ['off']);
    t.strictSame(completed('nsresourced', '--he'), ['--help']);
    t.strictSame(completed('nsresourcectl', 're'), ['release', 'reload']);
    t.end();
  });

  // What asks a program for its options finds the one that was packed.
  const packed = `nsresourced() { ${process.execPath} ${tree}/usr/sbin/nsresourced "$@"; }`;

  await t.test('zsh completes what the daemon has', needs('zsh'), (t) => {
    // Its own function tells what it was asked to offer.
    const script = `${packed}; compdef() { : }; _arguments() { print -rl -- "$@" }
      . ${tree}/usr/share/zsh/vendor-completions/_nsresourced; words=(nsresourced --); CURRENT=2; _nsresourced`;
    const offered = run(folder.path, 'zsh', '-fc', script).trim().split('\n');
    t.ok(
      ['--max-workers=:value:', '--userns-restrict=:value:(require off)', '--help'].every((text) =>
        offered.includes(text),
      ),
    );
    t.end();
  });

  await t.test('fish does', needs('fish'), (t) => {
    const completed = (words: string) => {
      const script = `function nsresourced; ${process.execPath} ${tree}/usr/sbin/nsresourced $argv; end
        source ${tree}/usr/share/fish/vendor_completions.d/nsresourced.fish; complete -C 'nsresourced ${words}'`;
      return run(folder.path, 'fish', '--no-config', '-c', script).trim().split('\n');
    };
    t.strictSame(completed('--max-w'), ['--max-workers=']);
    t.strictSame(completed('--userns-restrict=o'), ['--userns-restrict=off']);
    t.strictSame(completed('--he'), ['--help']);
    t.end();
  });

  await t.test('what dpkg runs is sound shell', (t) => {
    run(folder.path, 'dpkg-deb', '--control', file, `${folder.path}/control`);
    for (const name of ['preinst', 'postinst', 'prerm', 'postrm']) {
      t.strictSame(attempt(folder.path, 'sh', '-n', `${folder.path}/control/${name}`).status, 0, name);
      t.equal(statSync(`${folder.path}/control/${name}`).mode & 0o777, 0o755);
    }
    t.end();
  });
});

t.test('a wrong SOURCE_DATE_EPOCH is refused by name', (t) => {
  const wrong = [
    'env',
    'SOURCE_DATE_EPOCH=yesterday',
    process.execPath,
    'scripts/run.js',
    'package',
    `--to=${folder.path}`,
  ];
  const [program = '', ...args] = wrong;
  const { status, stderr } = attempt(root, program, ...args);
  t.equal(status, 1);
  t.match(stderr, 'sdrx: SOURCE_DATE_EPOCH=yesterday is no number of seconds since 1970\n');
  t.end();
});

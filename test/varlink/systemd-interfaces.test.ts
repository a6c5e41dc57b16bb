import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import {
  type AnyInterface,
  type InterfaceSyntax,
  interfaceFromText,
  metricsInterface,
  parseInterface,
  printInterface,
  serviceInterface,
  typescriptOf,
} from '@sdrx/varlink';
import t from 'tap';
import { journalAccess } from '#examples/journal-follow/journal-access.js';
import { compilePrograms } from '../docs/page-program.js';
import { Folder } from '../support/folder.js';
import { needsTestingSystemd, testingSystemd, testingSystemdOutput } from '../support/testing-systemd.js';

/** How many systemd 262 has: a newer one does not have fewer. */
const LEAST = 47;

const SYMBOL = /\bvl_interface_\w+/g;

/** Prints the texts of interfaces, by the names of their symbols, each with a NUL. sd_varlink_idl_format */
const PROGRAM = `
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library) return fprintf(stderr, "%s\\n", dlerror()), 1;
  int (*format)(const void *, char **) = (int (*)(const void *, char **)) dlsym(library, "sd_varlink_idl_format");
  for (int i = 2; i < argc; i++) {
    char *text = NULL;
    const void *interface = dlsym(library, argv[i]);
    if (!format || !interface || format(interface, &text) < 0) return fprintf(stderr, "%s\\n", argv[i]), 1;
    printf("%s%c", text, 0);
  }
}
`;

/** Where that systemd has the library of all its programs, from its own root. */
function sharedLibrary(): string {
  const found = readdirSync(`${testingSystemd}/usr/lib`, { recursive: true, encoding: 'utf8' });
  const library = found.find((name) => /\/systemd\/libsystemd-shared-[\d.~a-z]+\.so$/.test(name));
  if (library === undefined) throw new Error('there is no libsystemd-shared');
  return `/usr/lib/${library}`;
}

/** The texts of all its interfaces, as that systemd itself prints them: they lie in its library as C structures. */
async function systemdTexts(): Promise<string[]> {
  using folder = new Folder();
  const library = sharedLibrary();
  const table = execFileSync('readelf', ['--dyn-syms', '--wide', `${testingSystemd}${library}`], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const symbols = [...new Set(table.match(SYMBOL) ?? [])];
  writeFileSync(folder.join('texts.c'), PROGRAM);
  execFileSync('gcc', ['-o', folder.join('texts'), folder.join('texts.c'), '-ldl']);
  const printed = await testingSystemdOutput(folder.path, '/run/systemd/texts', library, ...symbols);
  return printed.split('\0').slice(0, -1);
}

/** What is said, however it is laid out: systemd writes every field of a struct in a line of its own. */
function tokens(text: string): string[] {
  return text.match(/#.*|[\w.-]+|->|[[\]()?:,]/g)?.map((token) => token.trim()) ?? [];
}

/** With types first and errors last, as a declaration has them. */
function inOrder(syntax: InterfaceSyntax): InterfaceSyntax {
  const { members } = syntax;
  return {
    ...syntax,
    members: ['type', 'method', 'error'].flatMap((kind) => members.filter((member) => member.kind === kind)),
  };
}

/** What an interface is without what it says. */
function bare(syntax: InterfaceSyntax): unknown {
  return JSON.parse(JSON.stringify(inOrder(syntax), (key, value) => (key === 'description' ? undefined : value)));
}

t.test("all interfaces of Debian testing's systemd are read, printed and declared", needsTestingSystemd, async (t) => {
  const texts = await systemdTexts();
  const syntaxes = texts.map(parseInterface);
  const names = syntaxes.map(({ name }) => name);
  t.comment(`${names.length} interfaces: ${names.join(', ')}`);
  t.ok(names.length >= LEAST, `${names.length} of at least ${LEAST}`);
  t.ok(names.includes('io.systemd.NamespaceResource') && names.includes('io.systemd.JournalAccess'));
  for (const [index, text] of texts.entries()) {
    const syntax = syntaxes[index] as InterfaceSyntax;
    const printed = printInterface(syntax);
    t.strictSame(parseInterface(printed), syntax, `${syntax.name} is the same when it is read again`);
    t.strictSame(tokens(printed), tokens(text), `${syntax.name} is printed as systemd prints it`);
    t.equal(interfaceFromText(text).text, printInterface(inOrder(syntax)), `${syntax.name} is declared at run time`);
  }
  for (const { name, text } of [serviceInterface, metricsInterface, journalAccess]) {
    const theirs = syntaxes[names.indexOf(name)] as InterfaceSyntax;
    t.strictSame(bare(parseInterface(text)), bare(theirs), `${name} is declared by us as by systemd`);
  }

  using folder = new Folder();
  const modules = syntaxes.map((syntax) => [syntax.name, typescriptOf(syntax, { name: 'made' })] as const);
  compilePrograms(folder, new Map(modules));
  for (const syntax of syntaxes) {
    const { made } = (await import(pathToFileURL(folder.join(`${syntax.name}.js`)).href)) as { made: AnyInterface };
    t.equal(made.text, printInterface(inOrder(syntax)), `${syntax.name} is declared by its module`);
  }
});

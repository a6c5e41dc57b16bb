import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { type Answer, Caller } from './caller.js';
import { steps } from './comparison-steps.js';
import { ALICE, needsVirtualMachine, run } from './machine.js';
import { type Provider, REGISTRY, serve } from './service.js';
import { Things } from './things.js';

/** What a call did, in terms that are the same in every run. */
interface Result {
  readonly answer: Answer;
  /** The registry's files, by name. */
  readonly registry: Readonly<Record<string, unknown>>;
  /** What the kernel says of what the calls were about. */
  readonly things: unknown;
  /** The virtual network interfaces of the host. */
  readonly links: unknown;
}

/** Makes all calls, with things of their own. */
async function results(provider: Provider): Promise<Result[]> {
  serve(provider);
  using things = new Things();
  await using root = new Caller(0);
  await using alice = new Caller(ALICE);
  const found: Result[] = [];
  for (const { as, method, parameters, things: passed = [], keys } of steps) {
    const caller = as === ALICE ? alice : root;
    const files = passed.map((name) => things.file(name));
    const answer = await caller.call({ method, parameters, files, ...(keys && { keys }) });
    const rename = renaming(things.numbers());
    found.push({
      answer: plain(answer),
      registry: registryFiles(rename),
      things: things.state(),
      links: method.includes('Network') ? links() : undefined,
    });
  }
  return found;
}

/** Puts names in place of the numbers that the kernel chose. */
function renaming(names: ReadonlyMap<number, string>): (text: string) => string {
  return (text) => text.replaceAll(/\d+/g, (digits) => names.get(Number(digits)) ?? digits);
}

function registryFiles(rename: (text: string) => string): Record<string, unknown> {
  const files = readdirSync(REGISTRY, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Object.fromEntries(
    files
      .filter(({ name }) => name !== 'lock')
      .map(({ parentPath, name }): [string, unknown] => {
        const path = `${parentPath}/${name}`;
        // Quotes around a name that was a number.
        const text = rename(readFileSync(path, 'utf8')).replaceAll(/([:[,])\s*(<[^>]*>)/g, '$1"$2"');
        return [rename(path.slice(REGISTRY.length)), JSON.parse(text)];
      })
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function links(): unknown {
  const all: readonly Record<string, unknown>[] = JSON.parse(run('ip', '-json', 'link', 'show', 'type', 'veth'));
  return all.map(({ ifname, address, altnames, operstate, flags }) => ({
    ifname,
    address,
    altnames,
    operstate,
    flags,
  }));
}

/** Without what is known to differ everywhere: ours tells an error number's name and origin, too. */
function plain(answer: Answer): Answer {
  if ('closed' in answer) return { closed: 'without a reply' };
  const { error, parameters } = answer;
  if (error === 'io.systemd.System') return { error, parameters: { errno: parameters?.errno } };
  return { ...(error !== undefined && { error }), parameters: parameters ?? {} };
}

t.test(
  `${steps.length} calls have the same results with systemd's daemon and with ours`,
  needsVirtualMachine,
  async (t) => {
    const theirs = await results('systemd');
    const ours = await results('sdrx');
    for (const [index, { what, differs }] of steps.entries()) {
      if (differs === undefined) t.strictSame(ours[index], theirs[index], what);
      else t.notSame(ours[index], theirs[index], `${what}, not the same: ${differs}`);
    }
    t.ok(
      theirs.some((result) => !('error' in result.answer) && !('closed' in result.answer)),
      'some succeed',
    );
  },
);

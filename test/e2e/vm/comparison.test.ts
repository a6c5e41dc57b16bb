import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { systemdRelease } from '../../support/systemd-release.js';
import { type Answer, callAs } from './caller.js';
import { steps } from './comparison-steps.js';
import { needsVirtualMachine, run } from './machine.js';
import { REGISTRY, withEach } from './service.js';
import { Things } from './things.js';

/** What a call did, in terms that are the same in every run. */
interface Result {
  readonly answer: Answer;
  /** What became different in `state`. */
  readonly changes: Readonly<Record<string, unknown>>;
}

/** The registry's files, what the kernel says of what the calls were about, and the host's interfaces, by name. */
type State = Readonly<Record<string, unknown>>;

/** Makes all calls, with things of their own. Of these, who is not named in a call is only looked at after the last. */
async function results(): Promise<Result[]> {
  using things = new Things();
  const found: Result[] = [];
  let before: State = {};
  for (const { as = 0, method, parameters, things: passed = [], keys } of steps) {
    const files = passed.map((name) => things.file(name));
    const answer = await callAs(as, { method, parameters, files, ...(keys && { keys }) });
    const isNamed = (name: string) => passed.some((thing) => thing.startsWith(name));
    const after = passed.length > 0 ? state(things, isNamed) : before;
    found.push({ answer: plain(answer), changes: changes(before, after) });
    before = after;
  }
  const unseen = changes(
    before,
    state(things, () => true),
  );
  if (Object.keys(unseen).length > 0) throw new Error(`changed by calls about others: ${JSON.stringify(unseen)}`);
  return found;
}

function state(things: Things, matters: (name: string) => boolean): State {
  return { ...registryFiles(renaming(things.numbers())), ...things.state(matters), ...links() };
}

function changes(before: State, after: State): State {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const changed = [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return Object.fromEntries(changed.sort().map((name) => [name, after[name] ?? 'gone']));
}

/** Puts names in place of the numbers that the kernel chose. */
function renaming(names: ReadonlyMap<number, string>): (text: string) => string {
  return (text) => text.replaceAll(/\d+/g, (digits) => names.get(Number(digits)) ?? digits);
}

function registryFiles(rename: (text: string) => string): State {
  const files = readdirSync(REGISTRY, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return Object.fromEntries(
    files
      // Links by gid and the list of interfaces are what systemd has from 260 on.
      .filter(({ name }) => name !== 'lock' && !/^g\d+\.userns$/.test(name))
      .map(({ parentPath, name }): [string, unknown] => {
        const path = `${parentPath}/${name}`;
        // Quotes around a name that was a number.
        const text = rename(readFileSync(path, 'utf8')).replaceAll(/([:[,])\s*(<[^>]*>)/g, '$1"$2"');
        const { netifs: _, ...fields } = JSON.parse(text);
        return [rename(path.slice(REGISTRY.length)), fields];
      }),
  );
}

let interfaces = '';
let described: State = {};

function links(): State {
  const names = String(readdirSync('/sys/class/net'));
  if (names !== interfaces) described = describeLinks();
  interfaces = names;
  return described;
}

function describeLinks(): State {
  const all: readonly Record<string, unknown>[] = JSON.parse(run('ip', '-json', 'link', 'show', 'type', 'veth'));
  // Without one of this type, the program prints an empty object.
  return Object.fromEntries(
    all
      .filter(({ ifname }) => ifname !== undefined)
      .map(({ ifname, address, altnames }) => [`link ${ifname}`, { address, altnames }]),
  );
}

/** Without what is known to differ everywhere: ours tells an error number's name and origin, too. */
function plain(answer: Answer): Answer {
  if ('closed' in answer) return { closed: 'without a reply' };
  const { error, parameters } = answer;
  if (error === 'io.systemd.System') return { error, parameters: { errno: parameters?.errno } };
  return { ...(error !== undefined && { error }), parameters: parameters ?? {} };
}

let theirs: readonly Result[] = [];

/** Why this machine's systemd does something else, if it is too old. */
function earlier(since: number): string | undefined {
  return systemdRelease() < since ? `systemd does so from ${since} on` : undefined;
}

withEach(t, `${steps.length} calls have the same results with either`, needsVirtualMachine, async (t, provider) => {
  const found = await results();
  t.ok(
    found.some(({ answer }) => !('error' in answer) && !('closed' in answer)),
    'some succeed',
  );
  if (provider === 'systemd') {
    theirs = found;
    return;
  }
  for (const [index, { what, since = 0, differs = earlier(since) }] of steps.entries()) {
    if (differs === undefined) t.strictSame(found[index], theirs[index], what);
    else t.notSame(found[index], theirs[index], `${what}, not the same: ${differs}`);
  }
});

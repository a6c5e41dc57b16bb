import { readdirSync } from 'node:fs';
import t from 'tap';
import { systemdRelease } from '../../support/systemd-release.js';
import { type Answer, callAs } from './caller.js';
import { IdOf, type Step, steps } from './comparison-steps.js';
import { needsVirtualMachine, run } from './machine.js';
import { type Entry, type NamedRange, RegistryFiles } from './registry-files.js';
import { withEach } from './service.js';
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
  const registry = new RegistryFiles();
  registry.look();
  const found: Result[] = [];
  let before: State = {};
  for (const { as = 0, method, parameters, things: passed = [], keys } of steps) {
    const files = passed.map((name) => things.file(name));
    const call = { method, parameters: withIds(parameters, registry.ranges), files, ...(keys && { keys }) };
    const answer = await callAs(as, call);
    registry.look();
    const isNamed = (name: string) => passed.some((thing) => thing.startsWith(name));
    const after = passed.length > 0 ? state(registry, things, isNamed) : before;
    const rename = renaming(new Map(), registry.ranges);
    found.push({ answer: renamed(withoutName(method, plain(answer)), rename), changes: changes(before, after) });
    before = after;
  }
  const unseen = changes(
    before,
    state(registry, things, () => true),
  );
  if (Object.keys(unseen).length > 0) throw new Error(`changed by calls about others: ${JSON.stringify(unseen)}`);
  return found;
}

function state(registry: RegistryFiles, things: Things, matters: (name: string) => boolean): State {
  const rename = renaming(things.numbers(), registry.ranges);
  const seen = Object.entries(things.state(matters)).map(([name, what]) => [
    name,
    once(what, () => renamed(what, rename)),
  ]);
  return { ...registryFiles(registry, rename), ...Object.fromEntries(seen), ...links() };
}

const shown = new WeakMap<object, unknown>();

/** What was shown of the same object before: an emulated machine takes long for a hundred of them after each call. */
function once(what: object, show: () => unknown): unknown {
  if (!shown.has(what)) shown.set(what, show());
  return shown.get(what);
}

function changes(before: State, after: State): State {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const isSame = (one: unknown, other: unknown) => one === other || JSON.stringify(one) === JSON.stringify(other);
  const changed = [...names].filter((name) => !isSame(before[name], after[name]));
  return Object.fromEntries(changed.sort().map((name) => [name, after[name] ?? 'gone']));
}

/** What is no id of a namespace, though it is as large. */
const NUMBERS = [65_534, 65_535, 65_536];

/** Puts names in place of the numbers that the kernel or a daemon chose. */
function renaming(names: ReadonlyMap<number, string>, ranges: readonly NamedRange[]): (text: string) => string {
  const nameOf = (id: number): string | undefined => {
    if (names.has(id) || NUMBERS.includes(id)) return names.get(id);
    const range = ranges.find(({ start, size }) => start <= id && id < start + size);
    return range && `<${range.name}+${id - range.start}>`;
  };
  return (text) => text.replaceAll(/\d+/g, (digits) => nameOf(Number(digits)) ?? digits);
}

/** The same with names in all that it holds, its keys included. A number that has a name becomes a text. */
function renamed<T>(value: T, rename: (text: string) => string): T {
  return renamedValue(value, rename) as T;
}

function renamedValue(value: unknown, rename: (text: string) => string): unknown {
  if (typeof value === 'string') return rename(value);
  if (typeof value === 'number') {
    const text = rename(String(value));
    return text === String(value) ? value : text;
  }
  if (Array.isArray(value)) return value.map((each) => renamedValue(each, rename));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [rename(key), renamedValue(each, rename)]));
}

/** The parameters of a call, with the ids that this daemon has chosen. */
function withIds(parameters: unknown, ranges: readonly NamedRange[]): unknown {
  if (typeof parameters !== 'object' || parameters === null) return parameters;
  const resolved = Object.entries(parameters).map(([field, value]) => {
    if (!(value instanceof IdOf)) return [field, value];
    const range = ranges.find(({ name }) => name === value.name);
    if (range === undefined) throw new Error(`no range of ${value.name}`);
    return [field, range.start + value.offset];
  });
  return Object.fromEntries(resolved);
}

/** Without the name that systemd from 258 on tells who has got it. */
function withoutName(method: string, answer: Answer): Answer {
  if (!/Allocate|Register/.test(method) || 'closed' in answer || systemdRelease() >= 258) return answer;
  const { name: _, ...parameters } = answer.parameters ?? {};
  return { ...answer, parameters };
}

/** Whether systemd has links by gid, and lists of interfaces. */
const hasInterfaces = systemdRelease() >= 260;

/** Without the kernel's number, and without what we leave out where it says nothing, as systemd before 258 reads no entry with it. */
function telling({ usernsId: _, netifs, startGid, targetGid, setgroupsDeny, ...fields }: Entry): Entry {
  return {
    ...fields,
    ...(hasInterfaces && netifs !== undefined && { netifs }),
    ...(startGid !== undefined && startGid !== fields.start && { startGid }),
    ...(targetGid !== undefined && targetGid !== fields.target && { targetGid }),
    ...(setgroupsDeny === true && { setgroupsDeny }),
  };
}

function registryFiles(registry: RegistryFiles, rename: (text: string) => string): State {
  const hasFile = ([path]: [string, Entry]) => hasInterfaces || !/\/g\d+\.userns$/.test(path);
  const files = registry.entries.filter(hasFile);
  return Object.fromEntries(
    files.map(([path, entry]) => [rename(path), once(entry, () => renamed(telling(entry), rename))]),
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

/** Why this machine's systemd is to do something else, if it is. */
function whyDifferent({ since, differs }: Step): string | undefined {
  if (since === undefined) return differs;
  return systemdRelease() < since ? (differs ?? `systemd does so from ${since} on`) : undefined;
}

withEach(t, `${steps.length} calls have the same results with either`, needsVirtualMachine, {
  compares: true,
  body: async (t, provider) => {
    const found = await results();
    t.ok(
      found.some(({ answer }) => !('error' in answer) && !('closed' in answer)),
      'some succeed',
    );
    if (provider === 'systemd') {
      theirs = found;
      return;
    }
    for (const [index, step] of steps.entries()) {
      const { what } = step;
      const differs = whyDifferent(step);
      if (differs === undefined) t.strictSame(found[index], theirs[index], what);
      else t.notSame(found[index], theirs[index], `${what}, not the same: ${differs}`);
    }
  },
});

import { ALICE } from './machine.js';
import { API } from './service.js';

/** A call of the comparison. They are made in order: what one does, the next ones find. */
export interface Step {
  readonly what: string;
  /** By whom; root unless given. */
  readonly as?: typeof ALICE;
  readonly method: string;
  readonly parameters?: unknown;
  /** What is passed along, as the names of `Things`. */
  readonly things?: readonly string[];
  readonly keys?: Readonly<Record<string, unknown>>;
  /** A difference that is meant, and why; the replies must differ indeed. */
  readonly differs?: string;
  /** The release of systemd from which on there is no difference; an older one must do something else. */
  readonly since?: number;
}

/** An id of a namespace's range, which each daemon puts somewhere else. */
export class IdOf {
  constructor(
    /** The namespace's. */
    readonly name: string,
    /** How far it is from the first one. */
    readonly offset = 0,
  ) {}

  toJSON(): string {
    return `<${this.name}+${this.offset}>`;
  }
}

type More = Omit<Partial<Step>, 'what' | 'method' | 'parameters' | 'things'>;

/** An AllocateUserRange that is complete but for what `parameters` say. */
function allocate(what: string, thing: string, parameters: object, more: More = {}): Step {
  const complete = { name: 'x', size: 65_536, userNamespaceFileDescriptor: 0, ...parameters };
  return {
    what: `allocate: ${what}`,
    method: `${API}.AllocateUserRange`,
    parameters: complete,
    things: [thing],
    ...more,
  };
}

function register(what: string, thing: string, parameters: object = {}, more: More = {}): Step {
  const complete = { name: 'x', userNamespaceFileDescriptor: 0, ...parameters };
  return {
    what: `register: ${what}`,
    method: `${API}.RegisterUserNamespace`,
    parameters: complete,
    things: [thing],
    ...more,
  };
}

function add(kind: 'Mount' | 'ControlGroup' | 'Network', index: string) {
  return (what: string, things: readonly string[], parameters: object = {}, more: More = {}): Step => ({
    what: `add ${kind}: ${what}`,
    method: `${API}.Add${kind}ToUserNamespace`,
    parameters: { userNamespaceFileDescriptor: 0, [index]: 1, ...parameters },
    things,
    ...more,
  });
}

const addMount = add('Mount', 'mountFileDescriptor');
const addCgroup = add('ControlGroup', 'controlGroupFileDescriptor');
const addNetwork = add('Network', 'networkNamespaceFileDescriptor');

/** One whose other end is a descriptor. */
const addTap = (what: string, things: readonly string[], parameters: object = {}, more: More = {}): Step =>
  addNetwork(
    `a tap, ${what}`,
    things,
    { mode: 'tap', networkNamespaceFileDescriptor: undefined, ...parameters },
    { since: 258, ...more },
  );

const alice = { as: ALICE } as const;

const ranges: readonly Step[] = [
  ...['a/b', 'a b', 'ä', 'a.b', 'a'.repeat(23), 5, null].map((name) =>
    allocate(`the name ${JSON.stringify(name)}`, 'fresh', { name }),
  ),
  ...[undefined, 0, 2, 65_535, 65_537, -1, 2 ** 32, 1.5, 'x', true].map((size) =>
    allocate(`the size ${size}`, 'fresh', { size }),
  ),
  ...[2 ** 32 - 1, 2 ** 32 - 65_536, 2 ** 32, -1, 1.5, 65_535].map((target) =>
    allocate(`the target ${target}`, 'fresh', { target }),
  ),
  ...[undefined, 1, -1, 0.5].map((index) =>
    allocate(`the descriptor ${index}`, 'fresh', { userNamespaceFileDescriptor: index }),
  ),
  allocate('an unknown parameter', 'fresh', { unknown: 1 }),
  allocate('a network namespace', 'network/net', {}),
  allocate('a regular file', '/etc/passwd', {}),
  allocate('a directory', '/etc', {}),
  allocate("the daemon's own namespace", '/proc/1/ns/user', {}),
  allocate('a path only', 'fresh O_PATH', {}),
  allocate('a non-blocking descriptor', 'fresh O_NONBLOCK', {}),
  allocate('a namespace with maps', 'mapped', {}),
  allocate("a user asks for root's", 'fresh', {}, alice),
  allocate('root asks', 'fresh probe', { name: 'probe' }),
  allocate('the same again', 'fresh probe', { name: 'probe2' }),
  allocate('the same name again', 'fresh', { name: 'probe' }),
  allocate('one id', 'fresh alpha', { name: 'alpha', size: 1 }),
  allocate('another target', 'fresh target', { name: 'target', target: 70_000 }),
  allocate('one id as root', 'fresh root', { name: 'single', size: 1, target: 0 }),
  allocate('a user asks', 'alices web', { name: 'web' }, alice),
  allocate('a user asks again', 'alices web', { name: 'web2' }, alice),
  allocate("a user's for which root asks", 'alices byroot', { name: 'byroot' }),
  allocate('a long name of a user', 'alices', { name: 'a'.repeat(20) }, alice),
  allocate("the name ''", 'fresh with nothing', { name: '' }, { since: 258, differs: 'systemd before 258 takes it' }),
  ...['-a', '1a'].map((name) => allocate(`the name '${name}'`, `fresh with ${name}`, { name })),
  allocate('the longest name', 'fresh long', { name: 'a'.repeat(22) }),
  allocate('with more', 'fresh more', { name: 'more' }, { keys: { more: true } }),
];

const mangled = { since: 258, differs: 'systemd before 258 takes names as they are' } as const;
const typed = { since: 260, differs: 'systemd before 260 has transient ids only' } as const;

/** What later releases have brought. Where one is refused, it is so by those that do not know the parameter, too. */
const laterRanges: readonly Step[] = [
  ...[1, 'yes'].map((mangleName) => allocate(`mangleName ${mangleName}`, 'fresh', { mangleName })),
  allocate('a long name', 'fresh long one', { name: 'systemd-nspawn-4242-machine', mangleName: true }, mangled),
  allocate('the same again', 'fresh', { name: 'systemd-nspawn-4242-machine', mangleName: true }, mangled),
  allocate('a name that will do', 'fresh will do', { name: 'will-do', mangleName: true }, mangled),
  register('a long name', 'mapped long', { name: 'a'.repeat(30), mangleName: true }, { as: ALICE, ...mangled }),

  ...['other', 'Self', '', 1].map((type) => allocate(`the type ${type}`, 'fresh', { type, size: 1 })),
  ...[-1, 2 ** 32, 1.5, 'x'].map((count) => allocate(`${count} ranges`, 'fresh', { delegateContainerRanges: count })),
  ...[1, 'yes'].map((mapForeign) => allocate(`mapForeign ${mapForeign}`, 'fresh', { mapForeign })),
  allocate('17 ranges', 'fresh', { delegateContainerRanges: 17 }, typed),
  allocate('17 ranges and a wrong target', 'fresh', { delegateContainerRanges: 17, target: 65_535 }, typed),
  allocate('the own ids, 65536 of them', 'fresh', { type: 'self' }, typed),
  allocate('the own ids at 1', 'fresh', { type: 'self', size: 1, target: 1 }, typed),
  allocate('managed ones', 'fresh managed', { name: 'managed', type: 'managed' }, typed),
  allocate('the own ids', 'alices self', { name: 'self', type: 'self', size: 1 }, { as: ALICE, ...typed }),
  allocate(
    'the own ids as root',
    'alices zero',
    { name: 'zero', type: 'self', size: 1, target: 0 },
    { as: ALICE, ...typed },
  ),
  allocate("root's own ids", 'fresh self', { name: 'self', type: 'self', size: 1 }, typed),
  allocate('foreign ids', 'fresh foreign', { name: 'foreign', mapForeign: true }, typed),
  allocate('two ranges', 'fresh two', { name: 'two', delegateContainerRanges: 2, mapForeign: true }, typed),
  allocate('none', 'fresh none', { name: 'none', delegateContainerRanges: 0, mapForeign: false }, typed),
];

const registrations: readonly Step[] = [
  register('without maps', 'fresh'),
  register('an unknown parameter', 'mapped', { unknown: 1 }, alice),
  register('no name', 'mapped', { name: undefined }, alice),
  register('a wrong name', 'mapped', { name: 'a/b' }, alice),
  register('a network namespace', 'network/net', {}, alice),
  register('ids that are not those of the peer', 'mapped'),
  register('a user asks', 'mapped', { name: 'own' }, alice),
  register('the same again', 'mapped', { name: 'own2' }, alice),
  register('the same name again', 'mapped other', { name: 'own' }, alice),
  register("a user asks for root's", 'mapped by root', { name: 'roots' }, alice),
  register('root asks', 'mapped by root', { name: 'roots' }),
  register('the first id inside is not 0', 'mapped to itself', { name: 'itself' }, alice),
  register('a namespace with a range', 'fresh probe', { name: 'again' }),
];

const mountCalls: readonly Step[] = [
  addMount('a user asks', ['mapped', '/tmp O_PATH'], {}, alice),
  addMount('a user asks, with a parameter missing', [], { mountFileDescriptor: undefined }, alice),
  addMount('an unregistered namespace', ['fresh', '/tmp O_PATH']),
  addMount('no mount', ['fresh probe'], { mountFileDescriptor: undefined }),
  addMount('no such descriptor', ['fresh probe']),
  addMount('a socket instead', ['fresh probe', '/dev/null']),
  addMount('not a namespace', ['/etc/passwd', '/tmp O_PATH']),
  addMount('a network namespace', ['network/net', '/tmp O_PATH']),
  addMount('no namespace', [], { userNamespaceFileDescriptor: undefined }),
  addMount('an unknown parameter', ['fresh probe', '/tmp O_PATH'], { unknown: 1 }),
  addMount('a non-blocking directory', ['fresh probe', '/tmp O_NONBLOCK']),
  addMount('a file', ['fresh probe', '/etc/passwd O_PATH']),
  addMount('a non-blocking directory for an unregistered namespace', ['fresh', '/tmp O_NONBLOCK']),
  addMount('a mount', ['fresh probe', '/tmp O_PATH']),
  addMount('the same again', ['fresh probe', '/tmp O_PATH']),
  addMount('a directory of another one', ['fresh probe', '/run/lock']),
  addMount('one to a namespace without a range', ['mapped', '/tmp O_PATH']),
];

const cgroupCalls: readonly Step[] = [
  addCgroup('an unregistered namespace', ['fresh', 'cgroup a']),
  addCgroup('no descriptor', ['fresh probe', 'cgroup a'], { controlGroupFileDescriptor: undefined }),
  addCgroup('not a control group', ['fresh probe', '/tmp']),
  addCgroup('a file of one', ['fresh probe', 'cgroup a/cgroup.procs']),
  addCgroup('no such descriptor', ['fresh probe']),
  addCgroup('not a namespace', ['/etc/passwd', 'cgroup a']),
  addCgroup('no namespace', [], { userNamespaceFileDescriptor: undefined }),
  addCgroup('an unknown parameter', ['fresh probe', 'cgroup a'], { unknown: 1 }),
  addCgroup('a path only', ['fresh probe', 'cgroup a O_PATH']),
  addCgroup('a non-blocking descriptor', ['fresh probe', 'cgroup a O_NONBLOCK']),
  addCgroup('not a control group to an unregistered namespace', ['fresh', '/tmp']),
  addCgroup("one of the control group's files with O_NONBLOCK", ['fresh probe', 'cgroup a/cgroup.procs O_NONBLOCK']),
  addCgroup('a namespace without a range', ['mapped', 'cgroup a'], {}, alice),
  addCgroup("a user gives root's", ['alices web', 'cgroup a'], {}, alice),
  addCgroup('root gives', ['fresh probe', 'cgroup a']),
  addCgroup('the same again', ['fresh probe', 'cgroup a']),
  addCgroup('a user gives its own', ['alices web', 'cgroup of alice'], {}, alice),
  addCgroup("a user gives to root's", ['fresh probe', 'cgroup of alice 2'], {}, alice),
  addCgroup("root gives to a user's", ['alices web', 'cgroup b']),
  addCgroup('a user gives to one that root registered', ['alices byroot', 'cgroup of alice 3'], {}, alice),
  ...Array.from({ length: 17 }, (_, index) => addCgroup(`number ${index + 2}`, ['fresh probe', `cgroup n${index}`])),
];

const networkCalls: readonly Step[] = [
  addNetwork('a wrong mode', ['network', 'network/net'], { mode: 'bridge' }, alice),
  addTap('an unregistered namespace', ['network'], {}, alice),
  addNetwork('no mode', ['network', 'network/net'], {}, alice),
  addNetwork('an unregistered namespace', ['network', 'network/net'], { mode: 'veth' }, alice),
  register('one with a network', 'network', { name: 'net' }, alice),
  addNetwork('no network', ['network'], { mode: 'veth', networkNamespaceFileDescriptor: undefined }, alice),
  addNetwork('not a network', ['network', 'network'], { mode: 'veth' }, alice),
  addNetwork('the network of the host', ['network', '/proc/1/ns/net'], { mode: 'veth' }),
  addNetwork('that of another namespace', ['network', 'network other/net'], { mode: 'veth' }, alice),
  addNetwork('no such descriptor', ['network'], { mode: 'veth' }, alice),
  addNetwork('a file', ['network', '/etc/passwd'], { mode: 'veth' }, alice),
  addNetwork('a path only', ['network', 'network/net O_PATH'], { mode: 'veth' }, alice),
  addNetwork('a non-blocking descriptor', ['network', 'network/net O_NONBLOCK'], { mode: 'veth' }, alice),
  addNetwork('no namespace', [], { mode: 'veth', userNamespaceFileDescriptor: undefined }, alice),
  addNetwork('not a namespace', ['/etc/passwd', 'network/net'], { mode: 'veth' }, alice),
  addNetwork('an unknown parameter', ['network', 'network/net'], { mode: 'veth', unknown: 1 }, alice),
  addNetwork("root's network in a wrong mode", ['network', '/proc/1/ns/net'], { mode: 'bridge' }, alice),
  addNetwork(
    'a wrong interface in a wrong mode',
    ['network', 'network/net'],
    { mode: 'bridge', namespaceInterfaceName: 'a/b' },
    { ...alice, since: 258 },
  ),
  addNetwork('a tap with a network', ['network', 'network/net'], { mode: 'tap' }, { ...alice, since: 258 }),
  addTap('an interface inside', ['network'], { namespaceInterfaceName: 'eth0' }, alice),
  addTap('a wrong interface inside', ['network'], { namespaceInterfaceName: 'a/b' }, alice),
  addTap("a user asks for root's", ['mapped by root'], {}, alice),
  ...['', 'a/b', 'a b', '.', 'a'.repeat(16), '1', 'all', 5].map((name) =>
    addNetwork(
      `the interface '${name}'`,
      ['network', 'network/net'],
      { mode: 'veth', namespaceInterfaceName: name },
      alice,
    ),
  ),
  addNetwork('a user asks', ['network', 'network/net'], { mode: 'veth' }, alice),
  addNetwork('the same again', ['network', 'network/net'], { mode: 'veth' }, alice),
  addNetwork('another interface', ['network', 'network/net'], { mode: 'veth', namespaceInterfaceName: 'up0' }, alice),
  addNetwork('root asks', ['network', 'network/net'], { mode: 'veth', namespaceInterfaceName: 'root0' }),
  ...['a.b', 'a'.repeat(15), '-', '0x'].map((name) =>
    addNetwork(
      `the interface '${name}'`,
      ['network', 'network/net'],
      { mode: 'veth', namespaceInterfaceName: name },
      alice,
    ),
  ),
  addTap('a user asks while a veth pair has the name', ['network'], {}, alice),
  register('another one with a network', 'network other', { name: 'net2' }, alice),
  addTap('a user asks', ['network other'], {}, alice),
  addTap('one whose root is a lent id', ['fresh probe']),
  addTap(
    'one without a root',
    ['fresh target'],
    {},
    {
      since: Number.POSITIVE_INFINITY,
      differs: 'systemd makes none before 258, and later keeps the name of the one that it has not made',
    },
  ),
  ...Array.from({ length: 10 }, (_, index) =>
    addNetwork(
      `number ${index + 8}`,
      ['network', 'network/net'],
      { mode: 'veth', namespaceInterfaceName: `n${index}` },
      alice,
    ),
  ),
  addNetwork(
    'one too many',
    ['network', 'network/net'],
    { mode: 'veth', namespaceInterfaceName: 'last' },
    { ...alice, since: 260 },
  ),
];

function record(what: string, method: string, parameters: object, more: More = {}): Step {
  return {
    what: `${method}: ${what}`,
    method: `io.systemd.UserDatabase.${method}`,
    parameters: { service: API, ...parameters },
    ...more,
  };
}

const users: readonly Step[] = ['User', 'Group'].flatMap((kind) => {
  const [id, name] = kind === 'User' ? ['uid', 'userName'] : ['gid', 'groupName'];
  const ask = (parameters: object) => record(JSON.stringify(parameters), `Get${kind}Record`, parameters);
  return [
    ...[0, 1, 65_535].map((offset) => ask({ [id]: new IdOf('probe', offset) })),
    ...[new IdOf('alpha'), 0, ALICE, 65_534].map((value) => ask({ [id]: value })),
    ...[65_535, 2 ** 32 - 1, 2 ** 32, -1, 1.5, true].map((value) => ask({ [id]: value })),
    ...['ns-probe-0', 'ns-probe-65534', 'ns-probe-65536', 'ns-probe-00', 'ns-probe', 'ns-alpha-0', 'ns-alpha-1'].map(
      (value) => ask({ [name]: value }),
    ),
    ...['ns-1000-web-7', 'ns-1000-own-0', 'ns-target-0', 'ns-nobody-0', 'root', 'alice', '', 'a/b', 5].map((value) =>
      ask({ [name]: value }),
    ),
    ask({ [id]: new IdOf('probe', 3), [name]: 'ns-probe-3' }),
    ask({ [id]: new IdOf('probe', 3), [name]: 'ns-probe-4' }),
    ask({}),
    ask({ unknown: 1 }),
    ask({ service: 'another' }),
    ask({ service: undefined }),
  ];
});

const others: readonly Step[] = [
  record('all', 'GetMemberships', {}),
  record('of a user', 'GetMemberships', { userName: 'ns-probe-0' }),
  record('another service', 'GetMemberships', { service: 'another' }),
  ...['foo', '', 'a.b', `${API}.Nothing`, 'io.systemd.UserDatabase.Nothing', 'org.varlink.service.Nothing'].map(
    (method): Step => ({ what: `the method '${method}'`, method }),
  ),
  { what: 'parameters that are no object', method: `${API}.AllocateUserRange`, parameters: 5 },
  { what: 'an unknown key', method: `${API}.AllocateUserRange`, keys: { unknown: 1 } },
  { what: 'no method', method: `${API}.AllocateUserRange`, keys: { method: undefined } },
  {
    what: 'the text of an unknown interface',
    method: 'org.varlink.service.GetInterfaceDescription',
    parameters: { interface: 'a.b' },
  },
  { what: 'the text without a name', method: 'org.varlink.service.GetInterfaceDescription' },
];

export const steps: readonly Step[] = [
  ...ranges,
  ...registrations,
  ...laterRanges,
  ...mountCalls,
  ...cgroupCalls,
  ...networkCalls,
  ...users,
  ...others,
];

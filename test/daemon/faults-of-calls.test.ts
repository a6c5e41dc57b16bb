import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { NamespaceNotes, namespaceResource, Registry, userDatabase } from '@sdrx/daemon';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, keptFiles, kernelMap, USERNS } from '../support/allocation.js';
import { childrenOf } from '../support/children.js';
import { difference } from '../support/difference.js';
import {
  CALLS,
  type FaultResult,
  faultOptions,
  faultsFor,
  isPossible,
  type KnownCall,
  nameOf,
} from '../support/fault-series.js';
import { type Fault, type SeenCalls, SystemCalls } from '../support/inject-fault.js';
import { LoneWorker } from '../support/lone-worker.js';
import { openFiles } from '../support/traces.js';
import { below, UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';
import { within } from '../support/within.js';

/** How long a call may take to be answered, in milliseconds: a helper that does not get far is waited for five seconds. */
const LIMIT = 60_000;

/** When it is looked what a call waits for that is not answered, in milliseconds: before the user database is given up, or its helper. */
const LONG = 2500;

const KNOWN: readonly KnownCall[] = [
  ['close', /uid_map>/],
  ['close', /gid_map>/],
  ['poll', /socket:/],
];

/** What is asked of a worker, and what has to be true afterwards. */
interface Deed {
  readonly name: string;
  /** Makes the namespace that it is for. */
  readonly namespace: () => UserNamespace;
  readonly ask: (worker: LoneWorker, fd: number) => Promise<RawReply>;
  /** Whether the kernel says of the namespace that it was done: in part if that can't be undone. */
  readonly isDone: (namespace: UserNamespace) => 'no' | 'in part' | 'yes' | 'unknown';
}

function isMapped({ child: { pid } }: UserNamespace): 'no' | 'in part' | 'yes' {
  const [uids, gids] = [kernelMap(pid, 'uid_map'), kernelMap(pid, 'gid_map')];
  return uids === '' ? 'no' : gids === '' ? 'in part' : 'yes';
}

/** One that is not directly below ours. */
function nested(): UserNamespace {
  using above = new UserNamespace();
  for (const kind of ['uid_map', 'gid_map'])
    writeFileSync(`/proc/${above.child.pid}/${kind}`, '0 0 65536\n1048576 1048576 131072\n');
  return new UserNamespace(below(above, 0));
}

const deeds: readonly Deed[] = [
  {
    name: 'an allocation',
    namespace: () => new UserNamespace(),
    ask: (worker, fd) => allocate(worker, fd, 'fault'),
    isDone: isMapped,
  },
  {
    name: 'an allocation within another namespace',
    namespace: nested,
    ask: (worker, fd) => allocate(worker, fd, 'fault', { delegateContainerRanges: 1 }),
    isDone: isMapped,
  },
  {
    name: 'a registration',
    namespace: () => new UserNamespace([], '--map-root-user'),
    ask: (worker, fd) => {
      const parameters = { name: 'fault', [USERNS]: 0 };
      return varlinkCall(worker.socketPath, `${namespaceResource.name}.RegisterUserNamespace`, parameters, {
        fds: [fd],
      });
    },
    isDone: () => 'unknown',
  },
];

/** Whose system calls: the worker's, or those of what it starts processes with, and of these. */
const PROCESSES = ['worker', 'launcher'] as const;

function pidOf(worker: LoneWorker, process: (typeof PROCESSES)[number]): number {
  return process === 'worker' ? worker.child.pid : (childrenOf(worker.child.pid)[0] ?? 0);
}

/** The calls that a deed makes, by name. */
async function callsOf(worker: LoneWorker, process: (typeof PROCESSES)[number], deed: Deed): Promise<SeenCalls> {
  using namespace = deed.namespace();
  using fd = namespace.open();
  const watch = await SystemCalls.watch(pidOf(worker, process), CALLS);
  await deed.ask(worker, fd.number);
  const seen = await watch.end();
  forget(worker, namespaceInode(fd.number));
  await worker.until(
    () => childrenOf(pidOf(worker, 'launcher')).length === 0,
    () => 'a helper stays',
  );
  return seen;
}

/** Releases a namespace, as the manager would. */
function forget({ runtimeDirectory }: LoneWorker, inode: number): void {
  using registry = Registry.open(runtimeDirectory);
  registry.remove(inode);
  NamespaceNotes.beside(registry).forget(inode);
}

/** What there is to see of a worker that rests. */
function state(worker: LoneWorker): string {
  const { pid } = worker.child;
  const [launcher = 0] = childrenOf(pid);
  const files = keptFiles(worker).filter((file) => file !== 'namespace-ids');
  return [...files, ...openFiles(pid), ...openFiles(launcher), `helpers: ${childrenOf(launcher).length}`].join('\n');
}

/** Does it with one fault in it. */
async function tryFault(
  worker: LoneWorker,
  process: (typeof PROCESSES)[number],
  deed: Deed,
  fault: Fault,
): Promise<FaultResult> {
  const wrong: string[] = [];
  using namespace = deed.namespace();
  using fd = namespace.open();
  const inode = namespaceInode(fd.number);
  const watch = await SystemCalls.watch(pidOf(worker, process), CALLS, { fault });
  const reply = await within(LIMIT, () => 'no answer', deed.ask(worker, fd.number)).catch((error: unknown) =>
    String(error),
  );
  const { injected } = await watch.end();
  if (!isPossible(injected)) return { wrong: [], happened: false, isSpoilt: true };
  if (!worker.isAlive) return { wrong: [`the worker is gone: ${injected.join()}`], happened: true, isSpoilt: true };

  const isClosed = typeof reply === 'string';
  if (reply === 'Error: no answer') wrong.push('no answer');
  const isRegistered = existsSync(`${worker.runtimeDirectory}/nsresource/registry/i${inode}.userns`);
  const done = deed.isDone(namespace);
  if (done === 'yes' && !isRegistered) wrong.push('maps without an entry');
  if (done === 'in part' && !isRegistered) wrong.push('a map without an entry');
  if (done === 'no' && isRegistered) wrong.push('an entry without maps');
  if (!isClosed && reply.error === undefined && (!isRegistered || (done !== 'yes' && done !== 'unknown')))
    wrong.push('a reply without the deed');
  if (!isClosed && reply.error !== undefined && isRegistered && done !== 'in part')
    wrong.push(`the deed, but the reply ${JSON.stringify(reply)}`);
  forget(worker, inode);
  return { wrong, happened: injected.length > 0, isSpoilt: wrong.length > 0 };
}

/** The state, once it has been the same for several looks: a connection is closed a little after its reply. */
async function restingState(worker: LoneWorker): Promise<string> {
  const looks: string[] = [];
  await worker.until(
    () => looks.unshift(state(worker)) > 20 && new Set(looks.slice(0, 20)).size === 1,
    () => 'never at rest',
  );
  return looks[0] ?? '';
}

/** What a worker's launcher and what that has started do now. */
function doings(worker: LoneWorker): string {
  const launcher = pidOf(worker, 'launcher');
  const fields = /^(Name|State|Pid|TracerPid|SigPnd|ShdPnd|SigBlk):.*$/gm;
  const doing = (pid: number) => {
    try {
      const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1').trim();
      return [...(read('status').match(fields) ?? []), read('wchan'), read('syscall')].join(', ');
    } catch (error) {
      return String(error);
    }
  };
  return [launcher, ...childrenOf(launcher)].map(doing).join('\n');
}

/** One deed without a fault, after which all is as it was. */
async function checkState(worker: LoneWorker, deed: Deed, before: string): Promise<string[]> {
  using namespace = deed.namespace();
  using fd = namespace.open();
  let seen = 'nothing waited';
  const look = setTimeout(() => {
    seen = doings(worker);
  }, LONG);
  const reply = await within(LIMIT, () => 'no answer', deed.ask(worker, fd.number)).catch((error: unknown) =>
    String(error),
  );
  clearTimeout(look);
  forget(worker, namespaceInode(fd.number));
  if (typeof reply === 'string' || reply.error !== undefined)
    return [`afterwards ${JSON.stringify(reply)}`, `meanwhile ${seen}`];
  try {
    await worker.until(
      () => state(worker) === before,
      () => `left behind:\n${difference(before, state(worker))}`,
    );
    return [];
  } catch (error) {
    return [String(error)];
  }
}

async function tryAll(t: Test, process: (typeof PROCESSES)[number], deed: Deed): Promise<void> {
  let worker = await LoneWorker.start();
  try {
    await callsOf(worker, process, deed);
    let before = await restingState(worker);
    const faults = faultsFor(await callsOf(worker, process, deed), KNOWN);
    let happened = 0;
    for (const fault of faults) {
      const result = await tryFault(worker, process, deed, fault);
      const wrong = [...result.wrong];
      if (result.happened) happened++;
      // A close that was not made leaves what it should have closed.
      const comparable = !result.isSpoilt && (fault.call !== 'close' || !result.happened);
      if (comparable) wrong.push(...(await checkState(worker, deed, before)));
      t.strictSame(wrong, [], nameOf(fault));
      if (comparable && wrong.length === 0) continue;
      worker[Symbol.dispose]();
      worker = await LoneWorker.start();
      await callsOf(worker, process, deed);
      before = await restingState(worker);
    }
    t.comment(`${faults.length} faults, of which ${happened} came to be`);
    t.ok(happened > faults.length / 2, `${happened} of ${faults.length} faults came to be`);
    const { error } = await ask(worker, 'User', { uid: 524_288 });
    t.equal(error, `${userDatabase.name}.NoRecordFound`);
  } finally {
    worker[Symbol.dispose]();
  }
}

for (const deed of deeds) {
  for (const process of PROCESSES) {
    t.test(`${deed.name}, whatever system call of the ${process} fails`, faultOptions, (t) => tryAll(t, process, deed));
  }
}

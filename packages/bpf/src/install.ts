import { existsSync, mkdirSync, rmSync, statfsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { BpfError } from './bpf-error.js';
import { BpfLink } from './bpf-link.js';
import type { BpfMap } from './bpf-map.js';
import { BpfObject } from './bpf-object.js';
import type { BpfProgram } from './bpf-program.js';
import { libbpf } from './libbpf.js';
import type { BpfLog } from './log.js';
import { hasBpfLsm } from './lsm.js';
import { PinnedRestrict } from './pinned-restrict.js';
import {
  DIRECTORY,
  MAPS,
  type MapShape,
  mountList,
  NAMESPACES,
  OVERFLOW,
  openMap,
  ownPlace,
  usedPlace,
} from './restrict-maps.js';
import type { UsernsRestrict } from './userns-restrict.js';

/** Beside this module, and beside a bundle of it. */
const OBJECT = fileURLToPath(new URL('userns-restrict.bpf.o', import.meta.url));

const BPF_FS_MAGIC = 0xcafe4a11;

/** The security hooks, by their names also those of programs and pins. */
const HOOKS = ['path_chown', 'path_mkdir', 'path_mknod', 'path_symlink', 'path_link'];

/** How the death of namespaces can be told, the best first. */
const DEATHS = [
  { program: 'sdrx_fentry_retire', means: 'fentry', at: 'retire_userns_sysctls' },
  { program: 'sdrx_kprobe_retire', means: 'kprobe', at: 'retire_userns_sysctls' },
  { program: 'sdrx_fentry_free', means: 'fentry', at: 'free_user_ns' },
  { program: 'sdrx_kprobe_free', means: 'kprobe', at: 'free_user_ns' },
];

/** Of the programs in the kernel those are ours. */
const PREFIX = 'sdrx_';

/** How userns-restrict is installed. */
export interface InstallOptions {
  /** Told of dead namespaces. */
  readonly loop: EventLoop;
  /** Takes what is attached, replaced, taken over or left alone; what libbpf says is `debug`. */
  readonly log?: BpfLog;
  /** Where in a BPF file system to pin it; systemd's place by default. */
  readonly directory?: string;
  /** The libbpf to use, `libbpf.so.1` by default. */
  readonly library?: string;
  /** The object file, that of this package by default. */
  readonly object?: string;
}

/**
 * Loads the userns-restrict program into the kernel, attaches it and pins it, so that it goes on when this process has ended.
 *
 * What is there already is used again. A program of an older release is replaced: the new one is attached before the old
 * one goes, and both work with the same maps, so that it is enforced all the time. So is systemd-nsresourced's, if its maps
 * fit; else that is left alone, and ours works beside it.
 *
 * Throws BpfError, whose `code` tells why: no or an old libbpf, no object file, no BPF LSM, no BTF, not permitted, refused
 * by the verifier, no BPF file system, another process that is told of dead namespaces by the same maps.
 */
export function installUsernsRestrict({
  loop,
  log = () => {},
  directory = DIRECTORY,
  library,
  object = OBJECT,
}: InstallOptions): UsernsRestrict {
  libbpf(library);
  requireObject(object);
  requireLsm();
  const place = choosePlace(directory, log);
  const pinned = openPinnedMaps(place);
  try {
    const load = (programs: readonly string[], maps: Readonly<Record<string, BpfMap>>): BpfObject =>
      BpfObject.load(object, {
        programs,
        maps: Object.fromEntries(Object.entries(maps).map(([name, reuse]) => [name, { reuse }])),
        log: (level, message) => level !== 'debug' && log('debug', message),
        ...(library !== undefined && { library }),
      });
    using restrict = load(
      HOOKS.map((hook) => PREFIX + hook),
      pinned,
    );
    requireBpfFileSystem(directory);
    for (const folder of ['programs', 'maps']) mkdirSync(`${place}/${folder}`, { recursive: true, mode: 0o755 });
    const maps = Object.fromEntries(Object.keys(MAPS).map((name) => [name, restrict.map(name)]));
    for (const [name, map] of Object.entries(maps)) if (!(name in pinned)) map.pin(`${place}/maps/${name}`);
    for (const hook of HOOKS) attach(restrict, PREFIX + hook, place, hook, log);
    const hook = attachDeath((program) => load([program], maps), place, log);
    return new PinnedRestrict(place, hook, loop);
  } finally {
    for (const map of Object.values(pinned)) map[Symbol.dispose]();
  }
}

function requireObject(object: string): void {
  if (existsSync(object)) return;
  throw new BpfError('ERR_BPF_OBJECT', `${object} is missing: it is made by the build where clang is installed`);
}

function requireLsm(): void {
  const active = hasBpfLsm();
  if (active === true) return;
  const reason =
    active === false
      ? "the kernel's active security modules lack bpf: add it to lsm= on the kernel's command line"
      : 'the kernel does not tell its security modules: securityfs must be mounted at /sys/kernel/security';
  throw new BpfError('ERR_BPF_LSM', reason);
}

function requireBpfFileSystem(directory: string): void {
  let folder = directory;
  while (!existsSync(folder)) folder = folder.slice(0, folder.lastIndexOf('/')) || '/';
  if (statfsSync(folder).type === BPF_FS_MAGIC) return;
  throw new BpfError(
    'ERR_BPF_FILE_SYSTEM',
    `${folder} is no BPF file system, nothing can be pinned in ${directory}: mount -t bpf bpf /sys/fs/bpf`,
  );
}

/** Where to pin everything: where others have it, unless that is of no use. */
function choosePlace(directory: string, log: BpfLog): string {
  const place = usedPlace(directory);
  if (place !== directory) return place;
  const odd = Object.entries(MAPS).flatMap(([name, shape]) => (fits(place, name, shape) ? [] : [name]));
  if (odd.length === 0) return place;
  log('notice', `what another program pinned in ${place} is left alone, for ${odd.join(' and ')} do not fit`);
  return ownPlace(directory);
}

/** Whether there is no such map, or one that works with our programs. */
function fits(place: string, name: string, wanted: MapShape): boolean {
  try {
    using map = openMap(place, name);
    const { type, keySize, valueSize } = wanted;
    if (map.type !== type || map.keySize !== keySize || map.valueSize !== valueSize) return false;
    // What it is to hold shows only by trying. Where our own map is beside it, it was tried.
    return name !== NAMESPACES || existsSync(`${place}/maps/${OVERFLOW}`) || takesList(map);
  } catch (error) {
    return isSystemError(error, 'ENOENT');
  }
}

/** No namespace has the inode 0. */
function takesList(namespaces: BpfMap): boolean {
  const inode = Buffer.alloc(4);
  using list = mountList(1);
  const fd = Buffer.alloc(4);
  fd.writeUInt32LE(list.fd);
  try {
    namespaces.set(inode, fd);
    namespaces.delete(inode);
    return true;
  } catch (error) {
    if (isSystemError(error, 'EINVAL')) return false;
    throw error;
  }
}

/** Those of the maps that are pinned. */
function openPinnedMaps(place: string): Record<string, BpfMap> {
  const found: Record<string, BpfMap> = {};
  for (const name of Object.keys(MAPS)) if (existsSync(`${place}/maps/${name}`)) found[name] = openMap(place, name);
  return found;
}

/** Attaches a program and pins it, unless that was done before. */
function attach(object: BpfObject, name: string, place: string, hook: string, log: BpfLog): void {
  const path = `${place}/programs/${hook}`;
  const program = object.program(name);
  using before = pinnedProgram(path);
  if (before !== undefined && isSame(before, program, object.map(NAMESPACES).id)) {
    log('debug', `userns-restrict: ${hook} is attached already`);
    return;
  }
  object.attach(name).pin(path);
  if (before === undefined) log('info', `userns-restrict: ${hook} attached`);
  else if (before.name.startsWith(PREFIX))
    log('info', `userns-restrict: ${hook} attached instead of another release's`);
  else log('notice', `userns-restrict: ${hook} attached, taken over from the program '${before.name}'`);
}

function isSame(before: BpfProgram, program: BpfProgram, map: number): boolean {
  return before.type === program.type && before.tag === program.tag && before.maps().includes(map);
}

/** The program whose link is pinned at `path`; undefined if there is none. */
function pinnedProgram(path: string): BpfProgram | undefined {
  try {
    using link = BpfLink.openPinned(path);
    return link.program();
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Attaches to the death of namespaces by the first means that works. @returns which one that is */
function attachDeath(load: (program: string) => BpfObject, place: string, log: BpfLog): string {
  let reason: unknown;
  for (const { program, means, at } of DEATHS) {
    try {
      using object = load(program);
      attach(object, program, place, at, log);
      // Two that tell would tell everything twice.
      for (const other of DEATHS) if (other.at !== at) rmSync(`${place}/programs/${other.at}`, { force: true });
      log('info', `userns-restrict: told of dead namespaces by ${means} ${at}`);
      return `${means} ${at}`;
    } catch (error) {
      if (!(error instanceof BpfError)) throw error;
      log('debug', error.message);
      reason = error;
    }
  }
  throw reason;
}

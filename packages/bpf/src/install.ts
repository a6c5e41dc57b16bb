import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EventLoop } from '@sdrx/event';
import { checkFunction, checkInstance, checkMethods, checkObject, checkText, Fd, isSystemError } from '@sdrx/linux';
import { HOOK_PROGRAMS } from './attach.js';
import type { BpfMap } from './bpf-map.js';
import { BpfObject } from './bpf-object.js';
import { InstalledRestrict } from './installed-restrict.js';
import { libbpf } from './libbpf.js';
import type { BpfLog } from './log.js';
import { FEATURES, loadOverlay, omissionsOf } from './omissions.js';
import { requireBpfFileSystem, requireLsm, requireObject } from './requirements.js';
import {
  DIRECTORY,
  FORMER_DIRECTORY,
  type MapShape,
  OWN_MAPS,
  openMap,
  ownPlace,
  type Place,
  SHARED_MAPS,
  usedPlace,
} from './restrict-maps.js';
import type { InstalledUsernsRestrict } from './userns-restrict.js';

/** Beside this module, and beside a bundle of it. */
const OBJECT = fileURLToPath(new URL('userns-restrict.bpf.o', import.meta.url));

/** How userns-restrict is installed. */
export interface InstallOptions {
  /** Told of dead namespaces. */
  readonly loop: EventLoop;
  /**
   * The `reader` of a process that this one takes over from, which is told of dead namespaces until then: subscribe to `dead` when that
   * one has ended its subscription. Stays the caller's. By default there must be no such process.
   */
  readonly reader?: Fd;
  /** Takes what is attached, replaced, taken over, left alone or not to be had; what libbpf says is `debug`. */
  readonly log?: BpfLog;
  /** Where in a BPF file system to pin it; systemd's place by default. What is ours alone is in a folder beside it. */
  readonly directory?: string;
  /** Where programs of an older kind are pinned, which are removed once those of this one are attached. */
  readonly former?: string;
  /** The libbpf to use, `libbpf.so.1` by default. */
  readonly library?: string;
  /** The object file, that of this package by default. */
  readonly object?: string;
}

/**
 * Loads the userns-restrict program into the kernel and pins its maps. `attach` then attaches and pins the programs, so that they
 * go on when this process has ended; before, the maps can be filled.
 *
 * What is there already is used again. A program of an older release is replaced: the new one is attached before the old one
 * goes, and both work with the same maps, so that it is enforced all the time. So is systemd-nsresourced's, if its maps fit; else
 * that is left alone, and ours works beside it.
 * @throws BpfError, whose `code` tells why: no or an old libbpf, no object file, no BPF LSM, no BTF, not permitted, refused by
 * the verifier, no BPF file system, another process that is told of dead namespaces by the same maps
 */
export function installUsernsRestrict(options: InstallOptions): InstalledUsernsRestrict {
  checkInstallOptions(options);
  const {
    loop,
    reader,
    log = () => {},
    directory = DIRECTORY,
    former = FORMER_DIRECTORY,
    library,
    object = OBJECT,
  } = options;
  libbpf(library);
  requireObject(object);
  requireLsm();
  loadOverlay();
  const place = choosePlace(directory, log);
  const pinned = openPinnedMaps(place);
  const load = (programs: readonly string[], maps: Readonly<Record<string, BpfMap>>): BpfObject =>
    BpfObject.load(object, {
      programs,
      maps: Object.fromEntries(Object.entries(maps).map(([name, reuse]) => [name, { reuse }])),
      log: (level, message) => level !== 'debug' && log('debug', message),
      ...(library !== undefined && { library }),
    });
  let hooks: BpfObject | undefined;
  try {
    hooks = load([...HOOK_PROGRAMS, FEATURES], pinned);
    requireBpfFileSystem(directory);
    const maps = pinMaps(hooks, place, pinned);
    const omissions = omissionsOf(hooks);
    for (const omission of omissions) log('warning', `userns-restrict: ${omission}`);
    const loadOne = (program: string) => load([program], maps);
    return new InstalledRestrict({ place, hooks, load: loadOne, former, omissions, loop, formerReader: reader, log });
  } catch (error) {
    hooks?.[Symbol.dispose]();
    throw error;
  } finally {
    for (const map of Object.values(pinned)) map[Symbol.dispose]();
  }
}

function checkInstallOptions(options: InstallOptions): void {
  checkObject('options', options);
  const { loop, reader, log, ...texts } = options;
  checkMethods('loop', loop, 'an EventLoop', 'io');
  if (reader !== undefined) checkInstance('reader', reader, Fd);
  if (log !== undefined) checkFunction('log', log);
  for (const name of ['directory', 'former', 'library', 'object'] as const) {
    if (texts[name] !== undefined) checkText(name, texts[name]);
  }
}

/** Where to pin everything: where others have it, unless that is of no use. */
function choosePlace(directory: string, log: BpfLog): Place {
  const place = usedPlace(directory);
  if (place.shared !== directory) return place;
  const odd = Object.entries(SHARED_MAPS).flatMap(([name, shape]) => (fits(directory, name, shape) ? [] : [name]));
  if (odd.length === 0) return place;
  log('notice', `what another program pinned in ${directory} is left alone, for ${odd.join(' and ')} do not fit`);
  return ownPlace(directory);
}

/** Whether there is no such map, or one that works with our programs. */
function fits(folder: string, name: string, wanted: MapShape): boolean {
  try {
    using map = openMap(folder, name);
    return map.type === wanted.type && map.keySize === wanted.keySize && map.valueSize === wanted.valueSize;
  } catch (error) {
    return isSystemError(error, 'ENOENT');
  }
}

/** Which maps are pinned where. */
function mapFolders({ shared, own }: Place): [name: string, folder: string][] {
  const inFolder = (maps: object, folder: string) => Object.keys(maps).map((name): [string, string] => [name, folder]);
  return [...inFolder(SHARED_MAPS, shared), ...inFolder(OWN_MAPS, own)];
}

/** Those of the maps that are pinned. */
function openPinnedMaps(place: Place): Record<string, BpfMap> {
  const found: Record<string, BpfMap> = {};
  for (const [name, folder] of mapFolders(place))
    if (existsSync(`${folder}/maps/${name}`)) found[name] = openMap(folder, name);
  return found;
}

/** Pins those that are not. @returns all of them */
function pinMaps(
  object: BpfObject,
  place: Place,
  pinned: Readonly<Record<string, BpfMap>>,
): Readonly<Record<string, BpfMap>> {
  for (const folder of [
    `${place.shared}/programs`,
    `${place.shared}/maps`,
    `${place.own}/programs`,
    `${place.own}/maps`,
  ])
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  const maps: Record<string, BpfMap> = {};
  for (const [name, folder] of mapFolders(place)) {
    maps[name] = object.map(name);
    if (!(name in pinned)) maps[name].pin(`${folder}/maps/${name}`);
  }
  return maps;
}

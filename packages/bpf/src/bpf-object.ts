import {
  checkArray,
  checkFunction,
  checkInstance,
  checkObject,
  checkText,
  checkUint32,
  close,
  cString,
  duplicate,
  EINVAL,
  EOPNOTSUPP,
  errno,
  type Fd,
  SystemError,
  wrongKind,
} from '@sdrx/linux';
import { BpfError } from './bpf-error.js';
import { BpfLink } from './bpf-link.js';
import { BpfMap } from './bpf-map.js';
import { BpfProgram } from './bpf-program.js';
import { failure } from './failure.js';
import { type Libbpf, libbpf, type Pointer, takeLog } from './libbpf.js';
import type { BpfLog, LogLine } from './log.js';
import { RingBuffer } from './ring-buffer.js';

/** What of a map is to be other than the object file says. */
export interface BpfMapSettings {
  /** How many keys it has room for; of a ring buffer its size in bytes. */
  readonly maxEntries?: number;
  /** Of a map of maps, one like those that it is to hold. */
  readonly inner?: BpfMap;
  /** A map to use instead of a new one; it stays the caller's. */
  readonly reuse?: BpfMap;
  /** Where in a BPF file system it is pinned; what is pinned there already is used instead of a new one, if it fits. */
  readonly pinPath?: string;
}

/** How an object file is loaded. */
export interface BpfObjectOptions {
  /** The names of the programs to load; all by default. */
  readonly programs?: readonly string[];
  /** By the names of maps. */
  readonly maps?: Readonly<Record<string, BpfMapSettings>>;
  /** Takes what libbpf says, and the kernel's verifier through it. */
  readonly log?: BpfLog;
  /** The libbpf to use, `libbpf.so.1` by default; a path or what dlopen(3) finds. */
  readonly library?: string;
}

/**
 * A BPF object file (ELF, as `clang -target bpf` makes it), loaded into the kernel: its programs, its maps, and what is
 * attached. It owns them all: to dispose of it detaches and closes them, but for what is pinned.
 */
export class BpfObject implements Disposable {
  readonly #libbpf: Libbpf;
  readonly #name: string;
  readonly #log: BpfLog;
  readonly #programs = new Map<string, Pointer>();
  readonly #maps = new Map<string, Pointer>();
  readonly #owned = new Map<string, Disposable>();
  readonly #links = new Set<BpfLink>();
  #object: Pointer | undefined;

  /**
   * Opens an object file, given by its path or its content, and loads it.
   * @throws BpfError, whose `code` tells why: no libbpf, no object file, not permitted, no BTF, refused by the verifier
   * @throws RangeError for programs and maps that the file does not have
   */
  static load(file: string | Uint8Array, options: BpfObjectOptions = {}): BpfObject {
    if (typeof file !== 'string' && !(file instanceof Uint8Array))
      throw wrongKind('file', 'a path or the bytes of an object file', file);
    checkLoadOptions(options);
    const object = new BpfObject(typeof file === 'string' ? file : 'BPF object', options);
    try {
      object.#open(file);
      object.#configure(options);
      object.#load();
      return object;
    } catch (error) {
      object[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(name: string, { log = () => {}, library }: BpfObjectOptions) {
    this.#libbpf = libbpf(library);
    this.#log = log;
    this.#name = name;
  }

  /** The names of its programs, also of those that were not to be loaded. */
  get programs(): string[] {
    return [...this.#programs.keys()];
  }

  /** The names of its maps. */
  get maps(): string[] {
    return [...this.#maps.keys()];
  }

  /** One of its programs. @throws RangeError for one that it has not, or that was not to be loaded */
  program(name: string): BpfProgram {
    checkText('name', name);
    return this.#own(`program ${name}`, () => {
      const fd = this.#libbpf.programFd(this.#find(this.#programs, 'program', name));
      if (fd < 0) throw new RangeError(`program '${name}' of ${this.#name} is not loaded`);
      return new BpfProgram(duplicate(fd));
    });
  }

  /** One of its maps. @throws RangeError for one that it has not */
  map(name: string): BpfMap {
    checkText('name', name);
    return this.#own(`map ${name}`, () => {
      return new BpfMap(duplicate(this.#libbpf.mapFd(this.#find(this.#maps, 'map', name))));
    });
  }

  /** One of its ring buffers. @throws RangeError for one that it has not, EINVAL for a map of another kind */
  ringBuffer(name: string): RingBuffer {
    checkText('name', name);
    return this.#own(`ring buffer ${name}`, () => new RingBuffer(this.map(name)));
  }

  /**
   * Attaches a program to what the name of its section says.
   * @throws BpfError with ERR_BPF_ATTACH or ERR_BPF_NOT_PERMITTED, RangeError for a program that it has not, or whose section
   * does not say
   */
  attach(program: string): BpfLink {
    checkText('program', program);
    const link = this.#attach(program);
    if (link === undefined) throw new RangeError(`nothing says what program '${program}' of ${this.#name} belongs to`);
    return link;
  }

  /** Attaches all loaded programs whose sections say to what. @throws as `attach`; then none is attached */
  attachAll(): BpfLink[] {
    const links: BpfLink[] = [];
    try {
      for (const [name, program] of this.#programs) {
        if (this.#libbpf.programFd(program) < 0) continue;
        const link = this.#attach(name);
        if (link !== undefined) links.push(link);
      }
      return links;
    } catch (error) {
      for (const link of links) link[Symbol.dispose]();
      throw error;
    }
  }

  /** Detaches and closes all that is its own; harmless the second time. */
  [Symbol.dispose](): void {
    if (this.#object === undefined) return;
    for (const owned of [...this.#links, ...[...this.#owned.values()].reverse()]) owned[Symbol.dispose]();
    this.#libbpf.close(this.#object);
    this.#object = undefined;
    this.#tellLog();
  }

  #open(file: string | Uint8Array): void {
    const { openFile, openMemory, nextProgram, programName, nextMap, mapName } = this.#libbpf;
    const object =
      typeof file === 'string'
        ? openFile(cString(file, 'bpf_object__open'), null)
        : openMemory(file, file.byteLength, null);
    const reason = errno();
    // Before the log is told, whose taker may throw.
    this.#object = object ?? undefined;
    const lines = this.#tellLog();
    if (object === null) {
      const cause = new SystemError(reason, 'bpf_object__open', this.#name);
      const said = lines.map(({ message }) => message);
      throw new BpfError('ERR_BPF_OBJECT', `no BPF object file: ${cause.message}`, said, { cause });
    }
    for (let at = nextProgram(object, null); at !== null; at = nextProgram(object, at))
      this.#programs.set(programName(at), at);
    for (let at = nextMap(object, null); at !== null; at = nextMap(object, at)) this.#maps.set(mapName(at), at);
  }

  #configure({ programs, maps = {} }: BpfObjectOptions): void {
    const { setAutoload, setMaxEntries, setInnerMap, setPinPath, reuse } = this.#libbpf;
    for (const name of programs ?? []) this.#find(this.#programs, 'program', name);
    if (programs !== undefined)
      for (const [name, program] of this.#programs) setAutoload(program, programs.includes(name));
    for (const [name, settings] of Object.entries(maps)) {
      const map = this.#find(this.#maps, 'map', name);
      const set = (result: number, what: string) => {
        const lines = this.#tellLog();
        if (result < 0) throw failure(-result, 'load', `map '${name}' of ${this.#name}, ${what}`, lines);
      };
      if (settings.maxEntries !== undefined) set(setMaxEntries(map, settings.maxEntries), 'size');
      if (settings.inner !== undefined) set(setInnerMap(map, settings.inner.fd), 'inner map');
      if (settings.pinPath !== undefined) set(setPinPath(map, cString(settings.pinPath, 'OBJ_PIN')), 'pin path');
      if (settings.reuse !== undefined) set(reuse(map, settings.reuse.fd), 'other map');
    }
  }

  #load(): void {
    if (this.#object === undefined) return;
    const result = this.#libbpf.load(this.#object);
    const lines = this.#tellLog();
    if (result < 0) throw failure(-result, 'load', this.#name, lines);
  }

  /** @returns undefined if its section does not say to what */
  #attach(name: string): BpfLink | undefined {
    const { attach, linkFd, destroy, disconnect } = this.#libbpf;
    const link = attach(this.#find(this.#programs, 'program', name));
    const reason = errno();
    if (link === null) {
      const lines = this.#tellLog();
      const isSaid = lines.some(({ level }) => level === 'warning');
      if ((reason === EOPNOTSUPP || reason === EINVAL) && !isSaid) return undefined;
      throw failure(reason, 'attach', `program '${name}' of ${this.#name}`, lines);
    }
    const free = (keep: boolean): void => {
      const fd = linkFd(link);
      if (keep) disconnect(link);
      destroy(link);
      if (keep) close(fd);
    };
    const made = new BpfLink(this.#linkFd(link), { free });
    this.#links.add(made);
    this.#tellLog();
    return made;
  }

  /** A descriptor of our own. Where there is none left for us, the link ends. */
  #linkFd(link: Pointer): Fd {
    try {
      return duplicate(this.#libbpf.linkFd(link));
    } catch (error) {
      this.#libbpf.destroy(link);
      throw error;
    }
  }

  #find(all: ReadonlyMap<string, Pointer>, kind: string, name: string): Pointer {
    const found = this.#object === undefined ? undefined : all.get(name);
    if (found === undefined)
      throw new RangeError(`${this.#name} has no ${kind} '${name}', but ${[...all.keys()].join(', ') || 'none'}`);
    return found;
  }

  #own<T extends Disposable>(key: string, make: () => T): T {
    const known = this.#owned.get(key);
    if (known !== undefined) return known as T;
    const made = make();
    this.#owned.set(key, made);
    return made;
  }

  #tellLog(): LogLine[] {
    const lines = takeLog();
    for (const { level, message } of lines) this.#log(level, message);
    return lines;
  }
}

function checkLoadOptions(options: BpfObjectOptions): void {
  checkObject('options', options);
  const { programs, maps, log, library } = options;
  if (programs !== undefined) checkArray('programs', programs, checkText);
  if (log !== undefined) checkFunction('log', log);
  if (library !== undefined) checkText('library', library);
  if (maps === undefined) return;
  checkObject('maps', maps);
  for (const [name, settings] of Object.entries(maps)) checkMapSettings(`maps.${name}`, settings);
}

function checkMapSettings(name: string, settings: BpfMapSettings): void {
  checkObject(name, settings);
  const { maxEntries, inner, reuse, pinPath } = settings;
  if (maxEntries !== undefined) checkUint32(`${name}.maxEntries`, maxEntries);
  if (inner !== undefined) checkInstance(`${name}.inner`, inner, BpfMap);
  if (reuse !== undefined) checkInstance(`${name}.reuse`, reuse, BpfMap);
  if (pinPath !== undefined) checkText(`${name}.pinPath`, pinPath);
}

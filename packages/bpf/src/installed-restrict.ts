import { existsSync, rmSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import type { Fd } from '@sdrx/linux';
import { attachDeaths, attachHooks } from './attach.js';
import type { BpfObject } from './bpf-object.js';
import { unreadDeaths } from './deaths.js';
import type { BpfLog } from './log.js';
import { PinnedRestrict } from './pinned-restrict.js';
import type { Place } from './restrict-maps.js';
import type { InstalledUsernsRestrict } from './userns-restrict.js';

/** What is to be attached, and how. */
export interface Loaded {
  readonly place: Place;
  /** The programs of the security hooks. */
  readonly hooks: BpfObject;
  /** Loads another one, on the same maps. */
  readonly load: (program: string) => BpfObject;
  /** Where older programs are pinned. */
  readonly former: string;
  readonly omissions: readonly string[];
  readonly loop: EventLoop;
  readonly formerReader: Fd | undefined;
  readonly log: BpfLog;
}

/** userns-restrict in the process that installs it. */
export class InstalledRestrict extends PinnedRestrict implements InstalledUsernsRestrict {
  readonly #loaded: Loaded;
  #hook: string | undefined;

  /** Takes over `loaded.hooks`, unless it throws. */
  constructor(loaded: Loaded) {
    super(loaded.place, loaded.loop, loaded.formerReader);
    this.#loaded = loaded;
  }

  override get hook(): string | undefined {
    return this.#hook;
  }

  get omissions(): readonly string[] {
    return this.#loaded.omissions;
  }

  get reader(): Fd {
    return this.deathsReader as Fd;
  }

  attach(): void {
    const { place, hooks, load, former, log } = this.#loaded;
    attachHooks(hooks, place, log);
    this.#hook = attachDeaths(load, place, log);
    // They are pinned, and need us no more.
    hooks[Symbol.dispose]();
    if (!existsSync(former)) return;
    // Where an older release of ours worked beside what did not fit, it had a folder in it.
    for (const folder of [former, `${former}/sdrx`]) this.addDeaths(unreadDeaths(folder));
    rmSync(former, { recursive: true });
    log('notice', `userns-restrict: ${former} removed, whose programs judged by mounts`);
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]();
    this.#loaded.hooks[Symbol.dispose]();
  }
}

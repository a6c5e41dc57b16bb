import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Metafile } from 'esbuild';

/**
 * The licences of the packages by others of which something is in a bundle. All of them ask for their text to go where their code goes.
 *
 * @param folder that the bundle's paths start from
 * @throws Error for a package without a licence's text
 */
export function thirdPartyLicenses(folder: string, { outputs }: Metafile): string {
  const bundled = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? packageFolder(path) : [])),
  );
  const licenses = [...new Set(bundled)].map((path) => licenseOf(resolve(folder, path)));
  return `The programs in this folder contain parts of these packages.\n\n${licenses.sort().join('\n')}`;
}

/** @returns the folder of the package that a file is part of; none if the file is ours */
function packageFolder(path: string): string[] {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.slice(0, 1) ?? [];
}

function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  const title = `${name} ${version}, ${license}`;
  return `${title}\n${'='.repeat(title.length)}\n\n${licenseText(folder).trim()}\n`;
}

/** From a file of its own, or from a section at the end of the README. */
function licenseText(folder: string): string {
  const files = readdirSync(folder);
  const read = (name: string) => readFileSync(`${folder}/${name}`, 'utf8');
  const own = files.filter((name) => /^(licen[cs]e|notice)/i.test(name)).map(read);
  if (own.length > 0) return own.join('\n');
  const readme = files.find((name) => /^readme/i.test(name));
  const [, section] = /^#+ *licen[cs]e\n(.*)/ims.exec(readme === undefined ? '' : read(readme)) ?? [];
  if (section === undefined) throw new Error(`${folder} has no text of a licence`);
  return section;
}

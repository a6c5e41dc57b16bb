import { readFileSync, writeFileSync } from 'node:fs';
import { root } from '../theme/root.js';
import { PICTURES } from './pictures.js';

const folder = `${root}/docs/pictures`;

const [, , ...args] = process.argv;
const unknown = args.find((argument) => argument !== '--record');
if (unknown !== undefined) throw new Error(`no such option: ${unknown}; there is --record`);
for (const { name, record, draw } of PICTURES) {
  const file = `${folder}/${name}.json`;
  if (args.includes('--record')) writeFileSync(file, `${JSON.stringify(await record(), inMicroseconds, 1)}\n`);
  writeFileSync(`${folder}/${name}.svg`, draw(JSON.parse(readFileSync(file, 'utf8'))));
}

/** More digits than these are noise. */
function inMicroseconds(_: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value * 1000) / 1000 : value;
}

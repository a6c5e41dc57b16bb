import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { logged } from '../support/command.js';
import { root } from '../support/root.js';
import type { Boot } from './boot.js';
import type { MachineImage } from './image.js';

const program = `${root}/scripts/machines/boot-container`;

/** The longest that a container's start and its tests may take, in seconds. */
export const containerLimit = 900;

/** Why a container can't be made of a machine's system here; undefined if it can. */
export async function whyNoContainer({ disk }: MachineImage): Promise<string | undefined> {
  try {
    await logged(program, ['--probe', disk]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Boots the systemd of a machine in a container and waits until it turns itself off.
 *
 * @param name of the run, whose tests are on the payload's disk
 * @param image stays as it is
 * @param payload the path of the disk
 * @param folder for results.tap, journal.log and console.log
 */
export async function bootContainer(name: string, image: MachineImage, payload: string, folder: string): Promise<Boot> {
  for (const file of ['results.tap', 'journal.log', 'console.log']) writeFileSync(`${folder}/${file}`, '');
  // A container must not outlive who started it, however that ends.
  const words = ['--pdeathsig', 'TERM', program, image.disk, payload, folder, name];
  const container = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [container.stdout, container.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    container.kill('SIGTERM');
  }, containerLimit * 1000);
  try {
    await once(container, 'close');
  } finally {
    clearTimeout(limit);
    writeFileSync(`${folder}/console.log`, said);
  }
  const tap = readFileSync(`${folder}/results.tap`, 'utf8');
  const isWhole = /^1\.\.\d+$/m.test(tap);
  const failure = late ? `its tests did not end within ${containerLimit} s` : 'it ended before its tests did';
  return { tap, failure: isWhole ? undefined : failure, late };
}

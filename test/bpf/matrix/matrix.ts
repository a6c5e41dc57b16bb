import { type Cell, ENVIRONMENTS, type Environment } from './environments.js';
import type { Answer } from './linux.js';
import { MOUNTS } from './mounts.js';
import { type Left, Program } from './program.js';
import { USERS } from './users.js';

/** A cell of the matrix, with what came of it. */
export interface Outcome extends Cell {
  readonly environment: Environment;
  readonly result: Answer;
}

/** An inode that is there when all is over. */
export interface Remnant extends Left {
  readonly environment: Environment;
}

/** Starts the program, and has it make all namespaces and mounts. @returns it, and the processes in the namespaces, by name */
export async function prepare(): Promise<[Program, Map<string, number>]> {
  const program = new Program();
  const pids = new Map<string, number>();
  // Whoever comes later has the mounts of those before.
  for (const mount of MOUNTS.filter(({ maker }) => maker === undefined)) await program.mount(mount);
  for (const user of USERS) {
    pids.set(user.name, await program.keep(user));
    for (const mount of MOUNTS.filter(({ maker }) => maker === user)) await program.mount(mount);
  }
  return [program, pids];
}

/** Tries everything in environments, all by default. */
export async function tryAll(
  program: Program,
  environments: readonly Environment[] = ENVIRONMENTS,
): Promise<[Outcome[], Remnant[]]> {
  const outcomes: Outcome[] = [];
  const remnants: Remnant[] = [];
  for (const environment of environments) {
    const [results, left] = await program.run(environment);
    environment.cells.forEach((cell, index) => {
      const { mount, attempt, result } = results[index] ?? { mount: '-', attempt: 'nothing', result: 'nothing' };
      const isIt = mount === cell.mount.name && attempt === cell.attempt.name;
      outcomes.push({ ...cell, environment, result: isIt ? result : `${mount} ${attempt} ${result}` });
    });
    remnants.push(...left.map((inode) => ({ ...inode, environment })));
  }
  return [outcomes, remnants];
}

/** One line that says what was tried, and where. */
export function describe({ environment, mount, attempt }: Omit<Outcome, 'result'>): string {
  return `${environment.name} / ${mount.name} / ${attempt.name}`;
}

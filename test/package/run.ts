import { spawnSync } from 'node:child_process';

/** Without what npm tells the scripts that it runs, such as the folder to install into. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_(config_local_prefix|package|lifecycle)|INIT_CWD)/.test(name)),
);

/** Runs a program to its end, without the module that tap has every Node load. Throws with all that it said if it fails. */
export function run(folder: string, program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = attempt(folder, program, ...args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** The same for one that may fail. */
export function attempt(folder: string, program: string, ...args: readonly string[]) {
  const options = { cwd: folder, env: environment, encoding: 'utf8' } as const;
  const { status, error, stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', program, ...args], options);
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

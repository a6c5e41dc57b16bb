import { readFileSync } from 'node:fs';

/** The process that is the manager of a runtime directory, which is another one after a reload. */
export function managerPid({ runtimeDirectory }: { readonly runtimeDirectory: string }): number {
  const [, pid] = /^(\d+)\n/.exec(readFileSync(`${runtimeDirectory}/nsresource/manager`, 'ascii')) ?? [];
  if (pid === undefined) throw new Error(`${runtimeDirectory} has no manager`);
  return Number(pid);
}

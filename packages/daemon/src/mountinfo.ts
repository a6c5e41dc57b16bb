import { readFileSync } from 'node:fs';

/** One line of mountinfo. proc_pid_mountinfo(5). */
export interface Mount {
  /** Which part of the file system is mounted; for nsfs the namespace, such as `net:[4026532001]`. */
  readonly root: string;
  /** Where, as seen by the process. */
  readonly path: string;
  /** The file system's type. */
  readonly type: string;
}

/** What is mounted in the mount namespace of a process. Throws ENOENT or ESRCH when it is gone, EINVAL for a zombie. */
export function mounts(pid: number | 'self' = 'self'): Mount[] {
  return parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/** Reads mountinfo; lines that say less than they should are skipped. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    // Before the dash: id, parent, device, root, path, options and any number of tags.
    const [before = '', after = ''] = line.split(' - ');
    const [, , , root, path] = before.split(' ');
    const [type] = after.split(' ');
    return root && path && type ? [{ root: unquote(root), path: unquote(path), type }] : [];
  });
}

/** Spaces, tabs, newlines and backslashes are written as three octal digits. */
function unquote(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

import { execFileSync } from 'node:child_process';

/** The release of this machine's systemd, such as 257; 0 if there is none. */
export function systemdRelease(): number {
  try {
    return Number(/^systemd (\d+)/.exec(execFileSync('systemctl', ['--version'], { encoding: 'ascii' }))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { RegisteredNamespace } from './namespaces.js';

/**
 * Has a namespace's root try again and again to make a directory there, which is a `SharedDirectory`.
 * @param pause between two tries, in seconds
 */
export function startAttempts(namespace: RegisteredNamespace, directory: string, pause = 0) {
  const program = `my ($n, $made) = (0, 0); while (-e "old" && !-e "stop") { $n++; if (mkdir "made") { $made++; rmdir "made" } select undef, undef, undef, ${pause} if ${pause} } print "$n $made\\n"`;
  const root = [`--user=${namespace.path}`, '--setuid=0', '--setgid=0'];
  const child = spawn('nsenter', [...root, 'perl', '-e', program], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return {
    /** Ends it. @returns how often it tried, and how often it came to be */
    async stop() {
      writeFileSync(`${directory}/stop`, '');
      const output = await child.stdout.setEncoding('ascii').toArray();
      const [tried = 0, succeeded] = output.join('').trim().split(' ').map(Number);
      return { tried, succeeded };
    },
  };
}

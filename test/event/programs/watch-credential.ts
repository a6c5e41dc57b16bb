/* Watches a credential whose folder has others mounted over it. In a mount namespace of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { EventLoop, serviceEnvironment } from '@sdrx/event';

const mount = (...args: readonly string[]) => execFileSync('mount', args);

mount('-t', 'tmpfs', 'tmpfs', '/run');
const directory = mkdtempSync('/run/credentials-');
const others = mkdtempSync('/run/others-');
writeFileSync(`${directory}/key`, 'old');
mount('-t', 'tmpfs', 'tmpfs', others);
writeFileSync(`${others}/key`, 'new');

/** What is done when a credential has been seen. */
const next: Readonly<Record<string, () => void>> = {
  old: () => mount('--bind', others, directory),
  new: () => writeFileSync(`${directory}/key`, 'newest'),
  newest: () => execFileSync('umount', [directory]),
};

const loop = new EventLoop();
const seen: string[] = [];
const { credentials } = serviceEnvironment({ CREDENTIALS_DIRECTORY: directory });
credentials?.watch(loop, 'key').subscribe((key) => {
  const text = String(key);
  console.log(text);
  seen.push(text);
  if (seen.length > 3) loop.exit(0);
  else next[text]?.();
});
process.exitCode = await loop.run();

import { UsageError } from '../program/usage-error.js';
import type { Command } from './command.js';
import { bashCompletion } from './completion/bash.js';
import { fishCompletion } from './completion/fish.js';
import { zshCompletion } from './completion/zsh.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUNTIME_DIRECTORY_OPTION, runtimeDirectoryOf } from './registry-view.js';

const SHELLS: Readonly<Record<string, (commands: readonly Command[], registry: string) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** `nsresourcectl completion`. @param all the commands, itself included */
export function completion(all: () => readonly Command[]): Command {
  return {
    name: 'completion',
    summary: 'Prints what has a shell complete all this',
    options: ['--runtime-directory='],
    operand: Object.keys(SHELLS),
    run(args) {
      const parsed = parseOrHelp(
        {
          program: 'nsresourcectl completion',
          summary: `Prints a script that has a shell complete commands, options and names of namespaces:
  nsresourcectl completion bash >/usr/share/bash-completion/completions/nsresourcectl
  nsresourcectl completion zsh >/usr/share/zsh/vendor-completions/_nsresourcectl
  nsresourcectl completion fish >/usr/share/fish/vendor_completions.d/nsresourcectl.fish`,
          options: RUNTIME_DIRECTORY_OPTION,
          operands: Object.keys(SHELLS).join('|'),
        },
        args,
        [1, 1],
      );
      if (parsed === undefined) return 0;
      const [shell = ''] = parsed.operands;
      const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
      if (write === undefined) throw new UsageError(`'${shell}' is none of ${Object.keys(SHELLS).join(', ')}`);
      // Shells look for names themselves, which is faster than to ask us.
      const registry = `${runtimeDirectoryOf(parsed.values)}/nsresource/registry`;
      process.stdout.write(write(all(), registry));
      return 0;
    },
  };
}

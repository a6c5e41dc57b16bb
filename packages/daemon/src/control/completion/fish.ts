import type { Command } from '../command.js';
import { quoted } from './quoted.js';

/** A script for fish. @param registry the folder where the names of namespaces are, each as `n<name>.userns` */
export function fishCompletion(commands: readonly Command[], registry: string): string {
  const lines = commands.flatMap(({ name, summary, options, operand }) => [
    `complete -c nsresourcectl -n __fish_use_subcommand -a ${name} -d ${quoted(summary).replaceAll("'\\''", "\\'")}`,
    ...[...options, '--help'].map((option) => {
      const long = option.slice(2).replace(/=$/, '');
      const takes = option.endsWith('=') ? ' -r' : '';
      return `complete -c nsresourcectl -n '__fish_seen_subcommand_from ${name}' -l ${long}${takes}`;
    }),
    ...operandLine(name, operand),
  ]);
  return `# fish completion for nsresourcectl
function __nsresourcectl_names
    for file in ${quoted(registry)}/n*.userns
        string replace -r '.*/n(.*)\\.userns$' '$1' $file
    end
end
complete -c nsresourcectl -f
${lines.join('\n')}
`;
}

function operandLine(name: string, operand: Command['operand']): string[] {
  if (operand === undefined) return [];
  if (operand === 'namespace') return [`${of(name)} -a '(__nsresourcectl_names)'`];
  return [operand === 'file' ? `${of(name)} -F` : `${of(name)} -a ${quoted(operand.join(' '))}`];
}

function of(name: string): string {
  return `complete -c nsresourcectl -n '__fish_seen_subcommand_from ${name}'`;
}

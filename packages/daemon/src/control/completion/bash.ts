import type { Command } from '../command.js';
import { quoted } from './quoted.js';

/** A script for bash. @param registry the folder where the names of namespaces are, each as `n<name>.userns` */
export function bashCompletion(commands: readonly Command[], registry: string): string {
  const cases = commands.map(
    ({ name, options, operand }) =>
      `    ${name}) options='${[...options, '--help'].join(' ')}' ${operandWords(operand)} ;;\n`,
  );
  return `# bash completion for nsresourcectl
_nsresourcectl() {
  local current=\${COMP_WORDS[COMP_CWORD]} verb= options='--json --help --version' words= word index
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if [[ $word == -- ]]; then
      # What comes now is a command of its own.
      if declare -F _command_offset >/dev/null; then
        _command_offset $((index + 1))
      else
        COMPREPLY=($(compgen -c -- "$current"))
      fi
      return
    fi
    [[ $word == -* || -n $verb ]] || verb=$word
  done
  case $verb in
    '') words='${commands.map(({ name }) => name).join(' ')}' ;;
${cases.join('')}  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
    [[ \${COMPREPLY[0]} != *= ]] || compopt -o nospace
  elif [[ $words == FILES ]]; then
    COMPREPLY=($(compgen -f -- "$current"))
  else
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
_nsresourcectl_names() {
  local file
  for file in ${quoted(registry)}/n*.userns; do
    file=\${file##*/n}
    [[ $file == '*.userns' ]] || echo "\${file%.userns}"
  done
}
complete -F _nsresourcectl nsresourcectl
`;
}

function operandWords(operand: Command['operand']): string {
  if (operand === undefined) return '';
  if (operand === 'namespace') return 'words=$(_nsresourcectl_names)';
  return operand === 'file' ? 'words=FILES' : `words='${operand.join(' ')}'`;
}

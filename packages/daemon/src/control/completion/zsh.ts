import type { Command } from '../command.js';
import { quoted } from './quoted.js';

/** A script for zsh, to be a file `_nsresourcectl` along fpath. @param registry the folder where the names of namespaces are, each as `n<name>.userns` */
export function zshCompletion(commands: readonly Command[], registry: string): string {
  const described = commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}\n`);
  const cases = commands.map(
    ({ name, options, operand }) =>
      `    ${name}) _arguments ${[...options, '--help'].map(optionSpec).join(' ')} ${operandSpec(operand)} ;;\n`,
  );
  return `#compdef nsresourcectl
_nsresourcectl() {
  local -a commands
  commands=(
${described.join('')}  )
  integer separator=$words[(i)--]
  if (( separator < CURRENT )); then
    # What comes now is a command of its own.
    shift $separator words
    (( CURRENT -= separator ))
    _normal
    return
  fi
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
${cases.join('')}  esac
}
_nsresourcectl_names() {
  local -a names
  names=(${quoted(registry)}/n*.userns(N:t:r))
  compadd -- \${names#n}
}
if [ "$funcstack[1]" = _nsresourcectl ]; then _nsresourcectl "$@"; else compdef _nsresourcectl nsresourcectl; fi
`;
}

function optionSpec(option: string): string {
  return quoted(option.endsWith('=') ? `${option.slice(0, -1)}=:value:` : option);
}

function operandSpec(operand: Command['operand']): string {
  if (operand === undefined) return '';
  if (operand === 'namespace') return "'1:namespace:_nsresourcectl_names'";
  return operand === 'file' ? "'1:file:_files'" : `'1:word:(${operand.join(' ')})'`;
}

# bash completion for nsresourced(8). The options are those that it says itself.
_nsresourced() {
  local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  # bash takes the = of an option for a word of its own.
  if [[ $cur == = ]]; then cur=; elif [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $previous in
  --userns-restrict) mapfile -t COMPREPLY < <(compgen -W 'require off' -- "$cur") ;;
  --runtime-directory) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
  --listen | --worker | --report) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  *)
    local options
    options=$("$1" --help 2>/dev/null | grep -oE '^  (-h, )?--[a-z-]+=?' | sed 's/^ *\(-h, \)\?//')
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
    ;;
  esac
}
complete -F _nsresourced nsresourced

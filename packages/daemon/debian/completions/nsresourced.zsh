#compdef nsresourced
# zsh completion for nsresourced(8). The options are those that it says itself.
_nsresourced() {
  local option
  local -a specifications
  for option in ${(f)"$($words[1] --help 2>/dev/null | sed -nE 's/^  (-h, )?(--[a-z-]+=?).*/\2/p')"}; do
    case $option in
    --userns-restrict=) specifications+=("${option}:value:(require off)") ;;
    --runtime-directory=) specifications+=("${option}:folder:_files -/") ;;
    --listen= | --worker=) specifications+=("${option}:path:_files") ;;
    *=) specifications+=("${option}:value:") ;;
    *) specifications+=($option) ;;
    esac
  done
  _arguments $specifications
}
if [ "$funcstack[1]" = _nsresourced ]; then _nsresourced "$@"; else compdef _nsresourced nsresourced; fi

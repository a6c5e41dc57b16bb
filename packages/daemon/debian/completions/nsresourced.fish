# fish completion for nsresourced(8). The options are those that it says itself.
function __nsresourced_options
    set -l program (commandline -opc)[1]
    $program --help 2>/dev/null | string replace -rf '^  (?:-h, )?(--[a-z-]+=?).*$' '$1'
end
complete -c nsresourced -f
complete -c nsresourced -a '(__nsresourced_options)'
complete -c nsresourced -l userns-restrict -x -a 'require off'
complete -c nsresourced -l runtime-directory -x -a '(__fish_complete_directories)'
complete -c nsresourced -l listen -r -F
complete -c nsresourced -l worker -r -F

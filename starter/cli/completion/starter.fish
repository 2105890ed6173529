# fish completion for starter. Install it with: starter completion fish > ~/.config/fish/completions/starter.fish
function __starter_completion
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape)
    set -l found ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c starter -f -a '(__starter_completion)'

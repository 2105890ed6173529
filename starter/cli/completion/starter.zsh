#compdef starter
# zsh completion for starter. Install it with: starter completion zsh > "${fpath[1]}/_starter"
_starter() {
    local line
    local -a values shown
    while IFS= read -r line; do
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  }")
    done < <("${words[1]}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#values} )); then
        compadd -l -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _starter ]]; then
    _starter "$@"
else
    compdef _starter starter
fi

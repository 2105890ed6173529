# bash completion for starter. Load it with: source <(starter completion bash)
_starter_completion() {
    local program=$1 current=$2 line value
    COMPREPLY=()
    while IFS= read -r line; do
        value=${line%%$'\t'*}
        [[ $value == "$current"* ]] || continue
        # Within quotes bash inserts a name as it is; outside, spaces need escapes.
        case ${COMP_WORDS[COMP_CWORD]} in
            [\"\']*) ;;
            *) printf -v value '%q' "$value" ;;
        esac
        COMPREPLY+=("$value")
    done < <("$program" __complete "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$current" 2>/dev/null)
}
complete -o default -F _starter_completion starter

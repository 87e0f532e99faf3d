# Completion of seawall for bash; to be sourced, or installed in a directory of bash-completion.
_seawall() {
    local IFS=$' \t\n' line="${COMP_LINE:0:COMP_POINT}" breaks='' sign
    local -a words
    # The unsplit line: bash splits words at `:` and `@`, and references contain both.
    read -r -a words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=('')
    local current="${words[${#words[@]}-1]}"
    IFS=$'\n'
    COMPREPLY=( $(
        SEAWALL_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$(( ${#words[@]} - 1 )) \
            "${1/#\~/$HOME}" -- "${words[@]}" 2>/dev/null
    ) )
    # Bash replaces only the text after the last character in COMP_WORDBREAKS.
    for sign in : = @; do
        [[ "$COMP_WORDBREAKS" == *"$sign"* ]] && breaks+="$sign"
    done
    if [[ -n "$breaks" && "$current" == *[$breaks]* ]]; then
        local kept="${current%"${current##*[$breaks]}"}"
        COMPREPLY=( "${COMPREPLY[@]#"$kept"}" )
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *[:=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o bashdefault -o default -F _seawall seawall

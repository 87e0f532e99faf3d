# Completion of seawall for bash; source it, or put it where bash-completion looks.
_seawall() {
    local IFS=$' \t\n' line="${COMP_LINE:0:COMP_POINT}" breaks='' sign
    local -a words
    # The line as it stands: bash has split it at `:` and `@`, which references have.
    read -r -a words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=('')
    local current="${words[${#words[@]}-1]}"
    IFS=$'\n'
    COMPREPLY=( $(
        SEAWALL_COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$(( ${#words[@]} - 1 )) \
            "${1/#\~/$HOME}" -- "${words[@]}" 2>/dev/null
    ) )
    # Bash replaces only what stands behind the last sign that it splits at.
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

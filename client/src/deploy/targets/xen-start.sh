set -eu
usage() {
  cat <<END
usage: $0 [--direct] [--net NETWORK=BRIDGE]...
  --direct              machines write to the pulled disks themselves; a patch then refuses them
  --net NETWORK=BRIDGE  put a network's cards on a bridge of the host, where others can reach them
                        (default: a bridge that the machines of the release have for themselves)
END
  exit 2
}
direct='' nets=''
while [ $# -gt 0 ]; do
  case $1 in
    --direct) direct=direct/ ;;
    --net) shift; nets="$nets ${1:-}" ;;
    *) usage ;;
  esac
  shift
done
for net in $nets; do
  case $net in
    *[!A-Za-z0-9._=-]*) usage ;;
    ?*=?*) ;;
    *) usage ;;
  esac
  case " $networks " in
    *" ${net%%=*} "*) ;;
    *) echo "$0: the release has no network ${net%%=*}; it has: $networks" >&2; exit 2 ;;
  esac
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
state=$here/state/$release
umask 077
edits=''

# bridge BRIDGE NETWORK makes the network's bridge, unless it has one of the host.
bridge() {
  for net in $nets; do
    case $net in "$2="*) edits="$edits;s/bridge=$1,/bridge=${net#*=},/"; return ;; esac
  done
  ip link show dev "$1" >/dev/null 2>&1 || ip link add name "$1" type bridge
  ip link set dev "$1" up
}

# start NAME FILE
start() {
  if xl domid "$1" >/dev/null 2>&1; then return; fi
  mkdir -p -- "$state"
  sed -e "$edits" "$here/$direct$2" >"$state/.$2"
  xl create "$state/.$2"
}


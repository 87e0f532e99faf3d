#!/bin/sh
# Makes the bridges of team/shop_2 2.0.0--rc_1 and starts its machines in order.
# Written by seawall; `seawall patch` rewrites it: change a copy.
release=d2b46c1803dabfc6
networks='back--end public'
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

# A patch sets the overlays of the release that it leaves aside; coming back takes them up again.
if [ ! -d "$state" ] && [ -d "$state.aside" ]; then mv -- "$state.aside" "$state"; fi

# overlay MACHINE DISK FILE FORMAT makes what a machine writes to instead of a pulled disk, once.
overlay() {
  overlay=$state/$1/$2.qcow2
  if [ -e "$overlay" ]; then return; fi
  mkdir -p -- "$state/$1"
  # Found from the overlay's own folder, so that all of it can be moved.
  (umask 077 && qemu-img create -q -f qcow2 -F "$4" -b "../../../../$3" "$overlay.part")
  mv -- "$overlay.part" "$overlay"
}

bridge 'swc5b3df5653' 'back--end'
bridge 'swafbc8011a1' 'public'
if [ -z "$direct" ]; then
  :
  overlay 'old' 'disk0' 'old/disk0.qcow2' qcow2
  overlay 'old' 'disk1' 'old/disk1.qcow2' qcow2
  overlay 'old' 'disk2' 'old/disk2.qcow2' qcow2
  overlay 'old' 'disk3' 'old/disk3.qcow2' qcow2
  overlay 'old' 'disk4' 'old/disk4.qcow2' qcow2
  overlay 'old' 'disk5' 'old/disk5.qcow2' qcow2
  overlay 'web' 'disk0' 'web/disk0.qcow2' qcow2
  overlay 'web' 'disk1' 'web/disk1.qcow2' qcow2
  overlay 'web' 'disk2' 'web/disk2.qcow2' qcow2
  overlay 'web' 'disk3' 'web/disk3.qcow2' qcow2
  overlay 'web' 'disk4' 'web/disk4.qcow2' qcow2
  overlay 'web' 'disk5' 'web/disk5.qcow2' qcow2
  overlay 'web' 'disk6' 'web/disk6.qcow2' qcow2
  overlay 'web' 'disk7' 'web/disk7.qcow2' qcow2
  overlay 'app--1' 'disk0' 'app--1/disk0.qcow2' qcow2
  overlay 'app--1' 'disk1' 'app--1/disk1.qcow2' qcow2
  overlay 'app--1' 'disk2' 'app--1/disk2.qcow2' qcow2
  overlay 'app--1' 'disk3' 'app--1/disk3.qcow2' qcow2
  overlay 'app--1' 'disk4' 'app--1/disk4.qcow2' qcow2
fi
start 'team-shop_2-old' 'old.cfg'
start 'team-shop_2-web' 'web.cfg'
start 'team-shop_2-app----1' 'app--1.cfg'

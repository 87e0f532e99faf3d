#!/bin/sh
# Makes libvirt forget the machines and networks of team/shop_2 2.0.0--rc_1.
# Written by seawall; `seawall patch` rewrites it: change a copy.
set -eu
usage() {
  cat <<END
usage: $0 [--purge]
  --purge  remove what the guests wrote, too: their overlays and UEFI variables
END
  exit 2
}
purge=''
case $#-${1:-} in
  0-) ;;
  1---purge) purge=1 ;;
  *) usage ;;
esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# stopped NAME
stopped() {
  if virsh list --name | grep -qxF -- "$1"; then
    echo "$0: $1 runs: stop it first ($here/stop.sh)" >&2
    exit 1
  fi
}

# undefine NAME
undefine() {
  virsh dominfo "$1" >/dev/null 2>&1 || return 0
  if [ -n "$purge" ]; then virsh undefine --nvram "$1"; else virsh undefine --keep-nvram "$1"; fi
}

# network NAME
network() {
  if virsh net-list --name | grep -qxF -- "$1"; then virsh net-destroy "$1"; fi
  if virsh net-info "$1" >/dev/null 2>&1; then virsh net-undefine "$1"; fi
}

stopped 'team-shop_2-arm'
stopped 'team-shop_2-big'
stopped 'team-shop_2-old'
stopped 'team-shop_2-power'
stopped 'team-shop_2-web'
stopped 'team-shop_2-risc'
stopped 'team-shop_2-app----1'
undefine 'team-shop_2-arm'
undefine 'team-shop_2-big'
undefine 'team-shop_2-old'
undefine 'team-shop_2-power'
undefine 'team-shop_2-web'
undefine 'team-shop_2-risc'
undefine 'team-shop_2-app----1'
network 'team-shop_2-back----end'
network 'team-shop_2-public'
if [ -n "$purge" ]; then rm -rf -- "$here/state"; fi

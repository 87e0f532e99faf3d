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


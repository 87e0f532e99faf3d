set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# define FILE ARCHITECTURE: what this host cannot run by itself, QEMU translates.
define() {
  case $(uname -m)-$2 in
    "$2-$2" | x86_64-i686)
      if [ -e /dev/kvm ]; then
        virsh define "$1"
        return
      fi ;;
  esac
  sed -e 's/^<domain type="kvm">/<domain type="qemu">/' \
    -e 's/^  <cpu mode="host-passthrough"/  <cpu mode="maximum"/' "$1" | virsh define /dev/stdin
}

# network NAME FILE
network() {
  virsh net-info "$1" >/dev/null 2>&1 || virsh net-define "$2"
  virsh net-list --name | grep -qxF -- "$1" || virsh net-start "$1"
}

# start NAME
start() {
  virsh list --name | grep -qxF -- "$1" || virsh start "$1"
}

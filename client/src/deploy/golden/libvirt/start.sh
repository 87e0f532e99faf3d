#!/bin/sh
# Defines the networks and starts the machines of team/shop_2 2.0.0--rc_1.
# Written by seawall; `seawall patch` rewrites it: change a copy.
release=d2b46c1803dabfc6
networks='back--end public'
set -eu
usage() {
  cat <<END
usage: $0 [--direct] [--tcg] [--cpu MODE] [--net NETWORK=KIND]... [--define]
  --direct            machines write to the pulled disks themselves; a patch will then refuse them
  --tcg               let QEMU translate, where this host could run the machines itself (KVM)
  --cpu MODE          host-passthrough (default), host-model, maximum, or a model's name
                      (virsh cpu-models ARCHITECTURE); nested is host-passthrough without the
                      register (arch-capabilities) that some virtual hosts cannot set
  --net NETWORK=KIND  isolated: machines of the release alone (default); nat: the host lets them
                      out; bridge:NAME: on a bridge of the host, where others can reach them
  --define            define networks and machines and make overlays, start nothing
END
  exit 2
}
direct='' tcg='' cpu='' nets='' only=''
while [ $# -gt 0 ]; do
  case $1 in
    --direct) direct=direct/ ;;
    --tcg) tcg=1 ;;
    --cpu) shift; cpu=${1:-} ;;
    --net) shift; nets="$nets ${1:-}" ;;
    --define) only=1 ;;
    *) usage ;;
  esac
  shift
done
case $cpu in *[!A-Za-z0-9._-]*) usage ;; esac
for net in $nets; do
  case $net in
    *[!A-Za-z0-9._=:-]*) usage ;;
    *=isolated | *=nat | *=bridge:?*) ;;
    *) usage ;;
  esac
  case " $networks " in
    *" ${net%%=*} "*) ;;
    *) echo "$0: the release has no network ${net%%=*}; it has: $networks" >&2; exit 2 ;;
  esac
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
state=$here/state/$release

# cpu_of MODE prints the element.
cpu_of() {
  case $1 in
    nested)
      printf '%s' '<cpu mode="host-passthrough" check="none">'
      printf '%s' '<feature policy="disable" name="arch-capabilities"/></cpu>' ;;
    host-passthrough) printf '%s' '<cpu mode="host-passthrough" check="none"/>' ;;
    host-model | maximum) printf '<cpu mode="%s"/>' "$1" ;;
    *) printf '<cpu mode="custom" match="exact"><model>%s</model></cpu>' "$1" ;;
  esac
}

# is_native ARCHITECTURE: whether this host runs it without translation.
is_native() {
  case $(uname -m)-$1 in
    "$1-$1" | x86_64-i686) [ -z "$tcg" ] && [ -e /dev/kvm ] ;;
    *) false ;;
  esac
}

# define FILE ARCHITECTURE [MODE]
define() {
  kind=kvm mode=${3:-${cpu:-host-passthrough}}
  is_native "$2" || kind=qemu mode=${cpu:-maximum}
  sed -e "s|^<domain type=\"kvm\">|<domain type=\"$kind\">|" \
    -e "s|^  <cpu mode=\"host-passthrough\".*|  $(cpu_of "$mode")|" \
    "$here/$direct$1" | virsh define /dev/stdin
}

# network NAME FILE KEY ADDRESS
network() {
  kind='' old=''
  for net in $nets; do
    case $net in "$3="*) kind=${net#*=} ;; esac
  done
  virsh net-info "$1" >/dev/null 2>&1 && old=1
  if [ -z "$old" ] || [ -n "$kind" ]; then
    case ${kind:-isolated} in
      isolated) edit='' ;;
      nat)
        range="<range start=\"$4.100\" end=\"$4.254\"/>"
        ip="<ip address=\"$4.1\" netmask=\"255.255.255.0\"><dhcp>$range</dhcp></ip>"
        edit="s|^  <bridge .*|<forward mode=\"nat\"/>&$ip|" ;;
      bridge:*) edit="s|^  <bridge .*|<forward mode=\"bridge\"/><bridge name=\"${kind#bridge:}\"/>|" ;;
    esac
    sed -e "$edit" "$here/$2" | virsh net-define /dev/stdin
    if virsh net-list --name | grep -qxF -- "$1"; then virsh net-destroy "$1"; fi
  fi
  virsh net-list --name | grep -qxF -- "$1" || virsh net-start "$1"
}

# start NAME FILE ARCHITECTURE
start() {
  if [ -n "$only" ] || virsh list --name | grep -qxF -- "$1" || virsh start "$1"; then return; fi
  if [ -z "$cpu" ] && is_native "$3" && grep -qw hypervisor /proc/cpuinfo; then
    echo "$0: this host is a virtual machine, and may be unable to set a register of the processor" \
      "that it shows (kvm_buf_set_msrs): trying --cpu nested" >&2
    define "$2" "$3" nested
    if virsh start "$1"; then return; fi
  fi
  echo "$0: $1 did not start: $0 --cpu host-model asks less of this host, --tcg nothing" >&2
  exit 1
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

network 'team-shop_2-back----end' 'networks/back--end.xml' 'back--end' 10.152.48
network 'team-shop_2-public' 'networks/public.xml' 'public' 10.169.149
if [ -z "$direct" ]; then
  :
  overlay 'arm' 'disk0' 'arm/disk0.qcow2' qcow2
  overlay 'arm' 'disk1' 'arm/disk1.qcow2' qcow2
  overlay 'arm' 'disk2' 'arm/disk2.qcow2' qcow2
  overlay 'big' 'disk0' 'big/disk0.qcow2' qcow2
  overlay 'big' 'disk1' 'big/disk1.qcow2' qcow2
  overlay 'old' 'disk0' 'old/disk0.qcow2' qcow2
  overlay 'old' 'disk1' 'old/disk1.qcow2' qcow2
  overlay 'old' 'disk2' 'old/disk2.qcow2' qcow2
  overlay 'old' 'disk3' 'old/disk3.qcow2' qcow2
  overlay 'old' 'disk4' 'old/disk4.qcow2' qcow2
  overlay 'old' 'disk5' 'old/disk5.qcow2' qcow2
  overlay 'power' 'disk0' 'power/disk0.qcow2' qcow2
  overlay 'web' 'disk0' 'web/disk0.qcow2' qcow2
  overlay 'web' 'disk1' 'web/disk1.qcow2' qcow2
  overlay 'web' 'disk2' 'web/disk2.qcow2' qcow2
  overlay 'web' 'disk3' 'web/disk3.qcow2' qcow2
  overlay 'web' 'disk4' 'web/disk4.qcow2' qcow2
  overlay 'web' 'disk5' 'web/disk5.qcow2' qcow2
  overlay 'web' 'disk6' 'web/disk6.qcow2' qcow2
  overlay 'web' 'disk7' 'web/disk7.qcow2' qcow2
  overlay 'risc' 'disk0' 'risc/disk0.qcow2' qcow2
  overlay 'app--1' 'disk0' 'app--1/disk0.qcow2' qcow2
  overlay 'app--1' 'disk1' 'app--1/disk1.qcow2' qcow2
  overlay 'app--1' 'disk2' 'app--1/disk2.qcow2' qcow2
  overlay 'app--1' 'disk3' 'app--1/disk3.qcow2' qcow2
  overlay 'app--1' 'disk4' 'app--1/disk4.qcow2' qcow2
fi
define 'arm.xml' aarch64
define 'big.xml' s390x
define 'old.xml' i686
define 'power.xml' ppc64le
define 'web.xml' x86_64
define 'risc.xml' riscv64
define 'app--1.xml' x86_64
start 'team-shop_2-arm' 'arm.xml' aarch64
start 'team-shop_2-big' 'big.xml' s390x
start 'team-shop_2-old' 'old.xml' i686
start 'team-shop_2-power' 'power.xml' ppc64le
start 'team-shop_2-web' 'web.xml' x86_64
start 'team-shop_2-risc' 'risc.xml' riscv64
start 'team-shop_2-app----1' 'app--1.xml' x86_64

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


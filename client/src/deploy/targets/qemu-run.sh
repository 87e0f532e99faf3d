# Written by seawall; `seawall patch` rewrites it: change a copy.
set -eu
usage() {
  cat <<END
usage: $0 [--direct] [--background] [--tcg] [--cpu MODEL] [--net [NETWORK=]KIND]...
       [-- QEMU-ARGUMENT...]
  --direct      write to the pulled disks themselves; a patch will then refuse them
  --background  return when it runs: serial.log and pid are in the state folder
  --tcg         let QEMU translate, where this host could run the machine itself (KVM)
  --cpu MODEL   what QEMU's -cpu takes (default: host with KVM, max without)
  --net KIND    socket joins the machines of a network on this host (default), user gives each
                card a way out, bridge:NAME puts it on a bridge of the host (by QEMU's
                qemu-bridge-helper), none unplugs it; NETWORK= says so for one network alone
END
  exit 2
}
direct='' background='' tcg='' cpu='' net=socket nets=''
while [ $# -gt 0 ]; do
  case $1 in
    --direct) direct=1 ;;
    --background) background=1 ;;
    --tcg) tcg=1 ;;
    --cpu) shift; cpu=${1:-} ;;
    --net)
      shift
      case ${1:-} in *=*) nets="$nets $1" ;; *) net=${1:-} ;; esac ;;
    --) shift; break ;;
    *) usage ;;
  esac
  shift
done
for kind in $net $nets; do
  case $kind in *[!A-Za-z0-9._=:-]*) usage ;; esac
  case ${kind#*=} in user | socket | none | bridge:?*) ;; *) usage ;; esac
done
for of in $nets; do
  # Each machine's script is told of all networks of the release.
  case " $networks " in
    *" ${of%%=*} "*) ;;
    *) echo "$0: the release has no network ${of%%=*}; it has: $networks" >&2; exit 2 ;;
  esac
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname -- "$here")
state=$here/state/$release


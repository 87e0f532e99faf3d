set -eu
usage() {
  cat <<END
usage: $0 [--force] [--wait SECONDS]
  --force         take the power away, without asking the guests to shut down
  --wait SECONDS  how long each may take to shut down (default 120)
END
  exit 2
}
force='' wait=120
while [ $# -gt 0 ]; do
  case $1 in
    --force) force=1 ;;
    --wait) shift; wait=${1:-} ;;
    *) usage ;;
  esac
  shift
done
case $wait in '' | *[!0-9]*) usage ;; esac

# is_running NAME
is_running() {
  virsh list --name | grep -qxF -- "$1"
}

# stop NAME
stop() {
  is_running "$1" || return 0
  if [ -n "$force" ]; then virsh destroy "$1"; return; fi
  virsh shutdown "$1"
  left=$wait
  while is_running "$1"; do
    if [ "$left" -le 0 ]; then
      echo "$0: $1 still runs after $wait s: $0 --force takes its power away" >&2
      exit 1
    fi
    sleep 1
    left=$((left - 1))
  done
}


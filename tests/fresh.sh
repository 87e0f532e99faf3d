#!/usr/bin/env bash
# `./dev fresh [COMMAND …]`: runs commands of `./dev` on a machine that has nothing but Debian 12
# and Rust, so that nothing works by the luck of what happens to be installed.
#
# The machine is a root of Debian's required packages alone, made from this machine's own package
# sources, with processes and mounts of its own. It gets a clone of the last commit, this machine's
# Rust toolchain (read-only), an empty cargo home, and this machine's network settings.
# Needs root. Takes the packages and crates from the network; about 10 GB for `test`.
set -euo pipefail

usage() {
  cat <<'END'
./dev fresh [--as-user] [--keep] [demo|test|package|needs]…

  demo      `./dev demo`
  test      `./dev test`
  package   `./dev package`, then installs the package, serves, pushes, pulls, removes and purges it
  needs     only what `./dev test` installs, and that each of its programs is there

Without a command: demo and test. --as-user runs them as an ordinary user without sudo, whom `./dev`
tells what root must install. --keep leaves the root, and says where.
END
}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'fresh: %s\n' "$*" >&2; exit 1; }

keep='' as_user=''
commands=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --keep) keep=1 ;;
    --as-user) as_user=1 ;;
    demo | test | package | needs) commands+=("$1") ;;
    -h | --help) usage; exit ;;
    *) usage >&2; die "there is no \`$1\`" ;;
  esac
  shift
done
[[ ${#commands[@]} -gt 0 ]] || commands=(demo test)
[[ $(id -u) -eq 0 ]] || die 'only root can make a root: run it with sudo'

project=$(realpath "$(dirname "$0")/..")
toolchain=$(rustc --print sysroot)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/seawall-fresh.XXXXXX")
root=$work/root
# What runs in the background, so that a signal is heeded at once, and the signal that ends it.
runner='' ended_by=''
finish() {
  local status=$?
  # The mounts are those of the runner's own namespace, and go with its last process.
  if [[ -n $runner ]]; then
    kill -"$ended_by" "$runner" 2>/dev/null || true
    wait "$runner" 2>/dev/null || true
  fi
  if [[ -n $keep ]]; then
    say "the root is kept: rm -r $work"
  else
    rm -rf --one-file-system "$work"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The machine's own sources of Debian 12, whatever they are.
sources() {
  # shellcheck disable=SC2016 # for apt
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(CREATED_BY)' |
    awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" && $4 == "Packages" && !seen[$0]++ {
      print "deb", $1, $2, $3
    }'
}

# follow SIGNAL COMMAND …: runs it to its end, or ends it by the signal when this script is ended.
follow() {
  local status=0
  ended_by=$1
  "${@:2}" </dev/null &
  runner=$!
  wait "$runner" || status=$?
  runner=''
  return "$status"
}

make_root() {
  sources >"$work/sources"
  grep --quiet ' bookworm main$' "$work/sources" || die 'the apt sources of this machine have no Debian 12'
  # How this machine reaches its sources: proxies, and what it was told about their dates.
  apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' >"$work/apt.conf" || true
  follow TERM mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" \
    --aptopt='Acquire::Languages "none"' bookworm "$root" "$work/sources"
  # The network as this machine has it.
  local file
  for file in /etc/resolv.conf /etc/hosts; do
    [[ -e $file ]] && cp --dereference "$file" "$root$file"
  done
}

# What this machine was told about certificates and proxies, and no other variable of it.
environment=(HOME=/home/dev TERM="${TERM:-dumb}" PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  CARGO_HOME=/home/dev/cargo)
pass_environment() {
  local name
  for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY \
    CARGO_BUILD_JOBS; do
    [[ -z ${!name:-} ]] || environment+=("$name=${!name}")
  done
  local bundle=${SSL_CERT_FILE:-${CARGO_HTTP_CAINFO:-}}
  if [[ -n $bundle ]]; then
    install -D --mode=644 "$bundle" "$root/opt/machine/certificates.crt"
    environment+=(SSL_CERT_FILE=/opt/machine/certificates.crt)
  fi
  # How this machine reaches crates.io; credentials stay where they are.
  local config=${CARGO_HOME:-$HOME/.cargo}/config.toml
  [[ ! -f $config ]] || install -D --mode=644 "$config" "$root/home/dev/cargo/config.toml"
}

# inside COMMAND …: runs it in the root, in processes and mounts of its own.
inside() {
  # `unshare` itself ignores gentler signals; its child goes with it, and every process of the root.
  # shellcheck disable=SC2016 # for the inner shell
  follow KILL unshare --mount --pid --fork --kill-child --propagation private bash -euc '
    root=$1 toolchain=$2
    shift 2
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    mkdir -p "$root/opt/rust"
    mount --bind "$toolchain" "$root/opt/rust"
    mount -o remount,bind,ro "$root/opt/rust"
    exec chroot "$root" "$@"
  ' bash "$root" "$toolchain" env -i "${environment[@]}" "$@"
}

# as_dev SCRIPT: runs a shell script in the project, as whoever tries it.
as_dev() {
  local as=()
  [[ -z $as_user ]] || as=(setpriv --reuid=1000 --regid=1000 --clear-groups)
  inside "${as[@]}" bash -euo pipefail -c "cd /home/dev/seawall; $1"
}

# Installs as root what `./dev` asks an ordinary user to have installed.
heed() {
  local line
  line=$(sed -n 's/^run this as root first:  //p' "$1")
  [[ $line == 'apt-get install '* ]] || return
  inside bash -c "apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive $line >/dev/null"
}

# timed WHAT SCRIPT: runs it, and says what it took.
timed() {
  local log=$work/log start=$EPOCHREALTIME took
  say "$1"
  local TIMEFORMAT=$'== processor time: %U s user, %S s system'
  time {
    if [[ -n $as_user ]] && ! as_dev "$2" > >(tee "$log") 2>&1; then
      heed "$log" || exit 1
      as_dev "$2"
    elif [[ -z $as_user ]]; then
      as_dev "$2"
    fi
  }
  took=$((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}))
  say "$1 took $((took / 1000000)) s; $(du --summarize --human-readable "$root/home/dev/seawall/target" 2>/dev/null |
    cut -f1) in target/, $(du --summarize --human-readable "$root/home/dev/cargo" 2>/dev/null | cut -f1) in cargo's home"
}

say 'making a root of Debian 12'
make_root
pass_environment
say "$(du --summarize --human-readable "$root" | cut -f1), $(grep --count ^Package: "$root/var/lib/dpkg/status") packages"
mkdir -p "$root/home/dev"
git clone --quiet --no-hardlinks "$project" "$root/home/dev/seawall"
if [[ -n $as_user ]]; then
  echo 'dev:x:1000:1000::/home/dev:/bin/bash' >>"$root/etc/passwd"
  echo 'dev:x:1000:' >>"$root/etc/group"
  chown -R 1000:1000 "$root/home/dev"
fi

for command in "${commands[@]}"; do
  case $command in
    needs) timed './dev needs' './dev needs' ;;
    # By the profile of the demo, so that both take one build.
    package) timed tests/package.sh 'tests/package.sh --profile dev' ;;
    *) timed "./dev $command" "./dev $command" ;;
  esac
done

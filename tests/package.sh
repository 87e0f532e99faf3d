#!/usr/bin/env bash
# Builds the package, installs it, uses it as an administrator would, and takes it away again.
# Arguments are those of `./dev package`. Changes the machine that it runs on, so `./dev fresh package`
# runs it in a minimal root.
set -euo pipefail
cd "$(dirname "$0")/.."

built=${CARGO_TARGET_DIR:-target}/package
[[ $(id -u) -eq 0 ]] || { echo 'package.sh: installing needs root' >&2; exit 1; }
[[ ! -e /etc/seawall && ! -e /var/lib/seawall ]] || { echo 'package.sh: Seawall is installed here' >&2; exit 1; }

step() { printf -- '-- %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
# equal WHAT EXPECTED ACTUAL
equal() { [[ $2 == "$3" ]] || fail "$1: $3, not $2"; }

work=$(mktemp -d)
chmod 755 "$work"
server=
finish() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

step 'the package is built'
rm -rf "$built"
./dev package "$@"

step 'the digests are those of the files'
(cd "$built" && sha256sum --quiet --check SHA256SUMS)
package=$(echo "$built"/*.deb)

step 'the package installs with what it depends on'
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$(realpath "$package")" >"$work/apt.log" 2>&1 ||
  { cat "$work/apt.log"; fail 'apt-get install'; }
equal 'the program' /usr/bin/seawall "$(command -v seawall)"
equal 'the folder of settings' '750 root seawall' "$(stat --format '%a %U %G' /etc/seawall)"
equal 'the folder of releases' '700 seawall seawall' "$(stat --format '%a %U %G' /var/lib/seawall)"
equal 'the user' '/var/lib/seawall:/usr/sbin/nologin' "$(getent passwd seawall | cut -d: -f6,7)"
for file in /usr/share/man/man1/seawall-push.1.gz /lib/systemd/system/seawall.service \
  /usr/share/bash-completion/completions/seawall /usr/share/zsh/vendor-completions/_seawall \
  /usr/share/fish/vendor_completions.d/seawall.fish /usr/share/doc/seawall/copyright; do
  # A minimal root may be told to leave documentation out.
  [[ -s $file ]] || grep --quiet --recursive 'path-exclude' /etc/dpkg/dpkg.cfg.d 2>/dev/null || fail "no $file"
done
! grep --quiet /usr/local /lib/systemd/system/seawall*.service || fail 'a unit names another program'

step 'the service starts by the command line of its unit, as its user'
token=$(head --bytes=24 /dev/urandom | od --address-radix=n --format=x1 | tr -d ' \n')
install --mode=600 --owner=seawall --group=seawall /dev/null /etc/seawall/tokens
echo "me publisher $token" >>/etc/seawall/tokens
unit=/lib/systemd/system/seawall.service
read -ra command < <(sed -n 's/^ExecStart=//p' "$unit")
user=$(sed -n 's/^User=//p' "$unit")
group=$(sed -n 's/^Group=//p' "$unit")
setpriv --reuid="$user" --regid="$group" --clear-groups --no-new-privs \
  env --ignore-environment PATH=/usr/bin:/bin sh -c 'umask 077; cd /; exec "$@"' sh "${command[@]}" \
  >"$work/address" 2>"$work/log" &
server=$!
for _ in {1..150}; do
  [[ ! -s $work/address ]] || break
  kill -0 "$server" 2>/dev/null || { cat "$work/log"; fail 'the service ended'; }
  sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$work/address")
[[ -n $address ]] || { cat "$work/log"; fail 'the service does not listen'; }

step 'a release goes in and comes out as it was'
export HOME=$work SEAWALL_REGISTRY=$address SEAWALL_TOKEN_FILE=$work/token NO_PROXY=127.0.0.1
(umask 077 && echo "$token" >"$work/token")
head --bytes=20M /dev/urandom >"$work/disk.raw"
truncate --size=64M "$work/disk.raw"
seawall --quiet push demo/shop:1.0.0 --machine "web=$work/disk.raw" >/dev/null
seawall --quiet pull demo/shop:1.0.0 --into "$work/host" >/dev/null
cmp "$work/disk.raw" "$work"/host/web/*.raw
seawall --quiet verify "$work/host" >/dev/null
equal 'the owner of the store' seawall "$(stat --format %U /var/lib/seawall/store)"

step 'removing leaves settings and releases, purging the releases alone'
kill -s TERM "$server"
wait "$server" || fail 'the service does not end well'
server=
apt-get remove --yes seawall >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail 'apt-get remove'; }
[[ ! -e /usr/bin/seawall && -s /etc/seawall/tokens && -d /var/lib/seawall/store ]] || fail 'what removing leaves'
apt-get purge --yes seawall >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail 'apt-get purge'; }
[[ ! -e /etc/seawall && -d /var/lib/seawall/store ]] || fail 'what purging leaves'
grep --quiet 'holds a registry and was left' "$work/apt.log" || fail 'purging does not say what it left'
rm -r /var/lib/seawall

step 'the program of the tarball runs where there is nothing but glibc'
tar --extract --gzip --directory="$work" --file="$(echo "$built"/*.tar.gz)"
program=$(echo "$work"/seawall-*/bin/seawall)
empty=$work/empty
install -D "$program" "$empty/seawall"
for library in $(ldd "$program" | grep -o '/[^ ]*'); do
  install -D "$library" "$empty$library"
  case ${library##*/} in
    ld-linux* | libc.so* | libm.so* | libgcc_s.so*) ;;
    *) fail "the program needs $library" ;;
  esac
done
cp "$work/disk.raw" "$empty/disk.raw"
in_empty() { env --ignore-environment PATH="$PATH" chroot "$empty" "$@"; }
in_empty /seawall --registry /registry --state /state --quiet push shop:1 --machine web=/disk.raw >/dev/null
in_empty /seawall --registry /registry --state /state --quiet pull shop:1 --into /host >/dev/null
cmp "$work/disk.raw" "$empty"/host/web/*.raw

step 'packing again gives the same bytes'
cp "$built/SHA256SUMS" "$work/first"
./dev package "$@" >/dev/null
diff "$work/first" "$built/SHA256SUMS" || fail 'the package is another one'
echo 'The package does what it says.'

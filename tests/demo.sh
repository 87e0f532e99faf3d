#!/usr/bin/env bash
# `./dev demo`: an application of two machines in two releases, from disks to a patched host.
# Needs no root, no loop device and no network; everything lies in one temporary folder.
set -euo pipefail

keep=
[[ ${1:-} == --keep ]] && keep=1

work=$(mktemp -d "${TMPDIR:-/tmp}/seawall-demo.XXXXXX")
server=
finish() {
  local status=$?
  if [[ -n $keep && -n $server && $status -eq 0 ]]; then
    printf '\nThe registry goes on: http://%s, its API page: http://%s/docs/\n' "$listen" "$listen"
    printf 'Stop it and clean up:  kill %s && rm -r %s\n' "$server" "$work"
    return
  fi
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [[ $status -ne 0 ]]; then
    grep -E 'WARN|ERROR' "$work/registry.log" >&2 2>/dev/null || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

cd "$work"
# Only this demo's own configuration, cache and records of what this host holds.
export XDG_CONFIG_HOME=$work/xdg XDG_CACHE_HOME=$work/xdg XDG_STATE_HOME=$work/xdg
export XDG_DATA_HOME=$work/xdg
unset SEAWALL_REGISTRY SEAWALL_CONFIG SEAWALL_TOKEN SEAWALL_TOKEN_FILE

bold='' dim='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

steps=0
step() {
  steps=$((steps + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"
}

# run COMMAND…: shows it, runs it, says how long it took.
run() {
  local start=$EPOCHREALTIME took
  printf '%s$ %s%s\n' "$dim" "$*" "$plain"
  "$@"
  took=$((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}))
  printf '%s  %d.%02d s%s\n' "$dim" $((took / 1000000)) $((took % 1000000 / 10000)) "$plain"
}

# files old|new MIB FOLDER…: readable files of folders of /, up to a total size. `new` is every
# twentieth of them, `old` the others.
files() {
  local kind=$1 total=$2
  shift 2
  (cd / && { find "$@" -xdev -type f -readable -size -64M ! -name $'*\n*' -printf '%s %p\n' 2>/dev/null || true; }) |
    LC_ALL=C sort -k2 | awk -v kind="$kind" -v total="$total" '
      { sum += $1 }
      sum <= total * 1048576 && (NR % 20 == 0) == (kind == "new") { print substr($0, index($0, " ") + 1) }'
}

pack() { tar --create --directory=/ --files-from=-; }
copy() { pack | tar --extract --directory="$1"; }

# disk ROOT FILE: a 2 GiB GPT disk with one ext4 file system that holds the files of ROOT.
disk() {
  truncate --size=2G "$2"
  printf 'label: gpt\nstart=2048, type=L\n' | sfdisk --quiet "$2"
  mke2fs -q -F -t ext4 -L root -d "$1" -E offset=1048576 "$2" $((2 * 1024 * 1024 - 2048))k
}

sizes() { du --summarize --block-size=1M "$@" | awk '{ printf "  %6d MiB of data  %s\n", $1, $2 }'; }

step 'Make four disks: two machines, two releases, out of this machine'"'"'s own files'
mkdir -p disks root/web root/db
files old 200 usr/bin usr/lib | copy root/web
files old 100 usr/share | copy root/db
disk root/web disks/web-1.0.0.raw
disk root/db disks/db-1.0.0.raw
# 1.1.0: web is built anew with some files edited, some gone, some new; db is changed in place.
find root/web -type f | LC_ALL=C sort | sed -n '1~50p' | tr '\n' '\0' | xargs --null rm --force
find root/web -type f -writable -size -64k | LC_ALL=C sort | sed -n '1~30p' |
  while read -r file; do printf 'edited for 1.1.0\n' >>"$file"; done
files new 200 usr/bin usr/lib | copy root/web
disk root/web disks/web-1.1.0.raw
cp --sparse=always disks/db-1.0.0.raw disks/db-1.1.0.raw
files new 100 usr/share | pack >new-in-1.1.0.tar
debugfs -w -R 'write new-in-1.1.0.tar new-in-1.1.0.tar' 'disks/db-1.1.0.raw?offset=1048576' \
  >debugfs.log 2>&1
rm -r root
sizes disks/*.raw

step 'Start a registry'
seawall serve registry --listen 127.0.0.1:0 >address 2>registry.log &
server=$!
for _ in {1..100}; do
  [[ -s address ]] || ! kill -0 "$server" 2>/dev/null || { sleep 0.1; continue; }
  break
done
listen=$(sed -n 's#^listening on http://##p' address)
[[ -n $listen ]] || { echo 'the registry did not start' >&2; exit 1; }
curl --silent --show-error --fail --noproxy '*' --output health "http://$listen/readyz"
export SEAWALL_REGISTRY=http://$listen NO_PROXY=127.0.0.1
echo "  $SEAWALL_REGISTRY"

step 'Push the first release'
run seawall push demo/webshop:1.0.0 \
  --machine web=disks/web-1.0.0.raw --machine db=disks/db-1.0.0.raw
run seawall promote demo/webshop:1.0.0 stable

step 'Push it again: nothing to do'
run seawall push demo/webshop:1.0.0 \
  --machine web=disks/web-1.0.0.raw --machine db=disks/db-1.0.0.raw

step 'Push the second release: only what is new travels'
run seawall push demo/webshop:1.1.0 \
  --machine web=disks/web-1.1.0.raw --machine db=disks/db-1.1.0.raw
run seawall list demo/webshop
sizes registry

step 'What differs, and what a host must download'
run seawall diff demo/webshop:1.0.0 demo/webshop:1.1.0

step 'A host pulls the stable release'
run seawall pull demo/webshop:stable --into host
same() { # same VERSION: the host's disks are byte for byte those that were pushed
  local machine file
  for machine in web db; do
    file=$(echo host/"$machine"/*.raw)
    run cmp "disks/$machine-$1.raw" "$file"
    b3sum "$file" | sed 's/^/  /'
    digest=$(b3sum --no-names "$file")
    seawall show "demo/webshop:$1" | grep --quiet "$digest" ||
      { echo "show prints another digest" >&2; exit 1; }
  done
  echo "  'seawall show demo/webshop:$1' names the same digests."
}
same 1.0.0

step 'stable moves on, and the host follows in place'
run seawall promote demo/webshop:1.1.0 stable
run seawall patch host --to demo/webshop:stable --dry-run
run seawall patch host --to demo/webshop:stable
run seawall verify host
same 1.1.0

printf '\n%sDone.%s The release on the host is exactly the release that was pushed.\n' "$bold" "$plain"
[[ -n $keep ]] || echo "The API page was at http://$listen/docs/; './dev demo --keep' leaves it running."

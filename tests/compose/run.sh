#!/usr/bin/env bash
# `./dev compose [--keep]`: starts docker-compose.yml itself and runs the scenes of
# tests/tests/balanced.rs on its containers: registries are killed, cut off, paused and restarted
# under pushes and pulls, and every byte is compared.
#
# Images that this machine has not and no image registry gives are replaced by stand-ins
# (standins.sh). The service `grafana` has none, and is not started then. Needs root or the rights to
# use a Docker engine. Builds Garage with cargo for its stand-in, which takes about 15 minutes once;
# GARAGE names a program that is there already.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'compose: %s\n' "$*" >&2; exit 1; }

garage_version=2.5.0
keep=''
[[ ${1:-} != --keep ]] || keep=1

docker info >/dev/null 2>&1 || die 'no Docker engine answers: start dockerd, or set DOCKER_HOST'
compose=(docker-compose)
! docker compose version >/dev/null 2>&1 || compose=(docker compose)
export SEAWALL_PORT=${SEAWALL_PORT:-7440} PROMETHEUS_PORT=${PROMETHEUS_PORT:-9090}
export SEAWALL_VERSION=test-$$ SEAWALL_LEASE_TTL=10
export SEAWALL_COMPOSE_PROJECT=seawall-test-$$
target=$(realpath "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d "${TMPDIR:-/tmp}/seawall-compose.XXXXXX")
export SEAWALL_COMPOSE_ENV=$work/.env
project=("${compose[@]}" --project-name "$SEAWALL_COMPOSE_PROJECT" --env-file "$SEAWALL_COMPOSE_ENV")

finish() {
  local status=$?
  [[ $status -eq 0 ]] || "${project[@]}" logs --tail 40 >&2 || true
  if [[ -n $keep ]]; then
    say "kept: ${project[*]} down --volumes"
  else
    "${project[@]}" --profile dashboards down --volumes --timeout 5 >/dev/null 2>&1 || true
    docker image rm "seawall:$SEAWALL_VERSION" >/dev/null 2>&1 || true
    rm -rf "$work"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# documented PATTERN: the lines of the instructions at the head of the file, run as they are.
documented() {
  sed -n 's/^#   //p' docker-compose.yml | sed --quiet "$1" | sed "s/:7440/:$SEAWALL_PORT/" >"$work/lines"
  [[ -s $work/lines ]] || die "docker-compose.yml has no instructions like $1"
}

documented '/^(umask/,/done >/p'
(cd "$work" && bash -eu lines)
[[ $(stat --format=%a "$work/.env") == 600 ]] || die 'others can read .env'

# standin IMAGE: the packages that an image was made of, if it is a stand-in.
standin() { docker image inspect --format '{{index .Config.Labels "seawall.stand-in"}}' "$1"; }

mapfile -t images < <("${project[@]}" config | sed -n 's/^ *image: //p' |
  grep --invert-match -e '^seawall:' -e '^grafana/' | sort --unique)
missing=()
for image in debian:bookworm-slim "${images[@]}"; do
  docker image inspect "$image" >/dev/null 2>&1 && continue
  # One attempt tells whether an image registry can be reached.
  [[ ${#missing[@]} -eq 0 ]] && timeout 300 docker pull --quiet "$image" 2>/dev/null && continue
  missing+=("$image")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  if [[ " ${missing[*]} " == *' dxflrs/garage:'* && -z ${GARAGE:-} ]]; then
    GARAGE=$target/compose/garage-$garage_version/bin/garage
    export GARAGE
    [[ -x $GARAGE ]] || {
      say "building Garage $garage_version"
      CARGO_TARGET_DIR=$target/compose/garage-build CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=2 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 nice -n 19 \
        cargo install garage --version "$garage_version" --locked --no-default-features \
        --features bundled-libs,sqlite --root "$target/compose/garage-$garage_version"
      rm -r "$target/compose/garage-build"
    }
  fi
  tests/compose/standins.sh "${missing[@]}"
fi

# The program is built here, as for every test, and put into the last stage of the Dockerfile: the
# first stage takes the crates from the network again.
cargo test --workspace --all-features --locked --test command_line --test blackbox --no-run
mkdir "$work/image"
strip --output-file="$work/image/seawall" "$target/debug/seawall"
install -D --mode=644 /etc/ssl/certs/ca-certificates.crt "$work/image/etc/ssl/certs/ca-certificates.crt"
sed -n '/^FROM debian/,$s|^COPY --from=build /|COPY |; /^FROM debian/,$p' Dockerfile >"$work/image/Dockerfile"
DOCKER_BUILDKIT=0 docker build --quiet --tag "seawall:$SEAWALL_VERSION" "$work/image" >/dev/null 2>"$work/log" ||
  { cat "$work/log" >&2; die 'the image of the Dockerfile does not build'; }

say 'the images:'
for image in "${images[@]}"; do
  made_of=$(standin "$image")
  [[ -z $made_of ]] || made_of="NOT AS PUBLISHED: a stand-in, made of $made_of"
  say "  $image: ${made_of:-as published}"
done
dashboards=()
if docker image inspect "$("${project[@]}" --profile dashboards config | sed -n 's/^ *image: //p' | grep '^grafana/')" >/dev/null 2>&1; then
  dashboards=(--profile dashboards)
else
  say '  NOT TESTED: grafana, which has no image here and no package in Debian'
fi

say 'docker compose up'
"${project[@]}" "${dashboards[@]}" up --detach --no-build

PATH=$target/debug:$PATH
for _ in $(seq 600); do
  ! curl --silent --fail --output /dev/null "http://127.0.0.1:$SEAWALL_PORT/readyz" || break
  sleep 0.2
done
say 'the instructions at the head of docker-compose.yml'
# shellcheck disable=SC2016 # for sed
documented '/^export SEAWALL_REGISTRY/,$p'
qemu-img create -q -f qcow2 "$work/web.qcow2" 64M
qemu-io -c 'write -q -P 7 1M 3M' "$work/web.qcow2"
echo 'seawall verify host && qemu-img compare web.qcow2 host/web/disk0.qcow2' >>"$work/lines"
(cd "$work" && HOME=$work bash -eux lines)

say 'the scenes'
cargo test --workspace --all-features --locked --test blackbox -- --ignored --nocapture \
  balanced::containers::

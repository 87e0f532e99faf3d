#!/usr/bin/env bash
# Runs the tests of buckets on other S3 services than the Ceph gateway of `./dev test`: MiniStack,
# which honours every condition, and Garage, which ignores all of them.
#
# Not part of `./dev ci`: the tests take two minutes on each service, MiniStack comes from PyPI, and
# Garage is compiled for a quarter of an hour. SEAWALL_GARAGE names its program; else it is looked
# for in PATH: cargo install garage --version 2.5.0 --locked
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.5.33
venv=${SEAWALL_MINISTACK_VENV:-${CARGO_TARGET_DIR:-target}/ministack}
[[ -x $venv/bin/ministack ]] || {
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "ministack==$version"
}
garage=${SEAWALL_GARAGE:-$(command -v garage || true)}

run() {
  printf '== %s\n' "$1"
  SEAWALL_S3_REFEREE=$1 SEAWALL_S3_REFEREE_PROGRAM=$2 \
    cargo test --workspace --all-features --locked --test blackbox -- bucket
}

run ministack "$(realpath "$venv/bin/ministack")"
if [[ -n $garage ]]; then
  run garage "$(realpath "$garage")"
else
  printf '== not tried: Garage, which is not there; SEAWALL_GARAGE names its program\n'
fi

#!/usr/bin/env bash
# `./dev kubernetes`: checks the manifests in deploy/kubernetes against the schemas of the API of
# Kubernetes, of the oldest version that still gets fixes and of the newest. No cluster is needed, and
# none is asked.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.37.0
venv=${CARGO_TARGET_DIR:-target}/kubernetes-validate-$version
[[ -x $venv/bin/kubernetes-validate ]] || {
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$version"
}
check() { "$venv/bin/kubernetes-validate" --strict --quiet "$@"; }

manifests=(deploy/kubernetes/*.yaml)
for kubernetes in 1.31.0 "$version"; do
  check --kubernetes-version "$kubernetes" "${manifests[@]}"
  printf '%s manifests are valid for Kubernetes %s\n' "${#manifests[@]}" "$kubernetes"
done

# The checker finds a field that does not exist.
wrong=$(mktemp --suffix=.yaml)
trap 'rm -f "$wrong"' EXIT
sed 's/readOnlyRootFilesystem/readOnlyRootFilesytem/' deploy/kubernetes/registry.yaml >"$wrong"
! check "$wrong" >/dev/null 2>&1 || { echo 'a wrong field was not found' >&2; exit 1; }

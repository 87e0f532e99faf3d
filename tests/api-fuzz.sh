#!/usr/bin/env bash
# Tries the API of a running registry with requests that schemathesis makes from its description.
# Arguments go to `schemathesis run`. Fails on a server error or an answer that is not described.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4
venv=${SEAWALL_FUZZ_VENV:-${CARGO_TARGET_DIR:-target}/api-fuzz}
[[ -x $venv/bin/schemathesis ]] || {
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version.*"
}

cargo build --locked --quiet -p seawall
seawall=${CARGO_TARGET_DIR:-target}/debug/seawall
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait; rm -rf "$work"' EXIT
"$seawall" serve "$work/data" --listen 127.0.0.1:0 >"$work/out" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
  url=$(sed -n 's/^listening on //p' "$work/out")
  [[ -n $url ]] && break
  sleep 0.1
done
[[ -n ${url:-} ]] || { cat "$work/log" >&2; exit 1; }

# Something to meet: one release, a channel, a pin.
head -c 1M /dev/urandom >"$work/disk.raw"
export SEAWALL_REGISTRY=$url SEAWALL_STATE=$work/state
"$seawall" push team/webshop:1.0.0 --machine "web=root:$work/disk.raw" -q >/dev/null
"$seawall" promote team/webshop:1.0.0 stable -q >/dev/null

"$venv/bin/schemathesis" run "$url/v1/openapi.json" --url "$url" \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
  --max-examples "${SEAWALL_FUZZ_EXAMPLES:-50}" --workers 1 --seed 20261122 "$@"

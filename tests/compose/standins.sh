#!/usr/bin/env bash
# Builds stand-ins for public images, under the same names, where no image registry can be reached.
# They are made from Debian packages alone, and do what docker-compose.yml uses of the public images.
# Each has the label `seawall.stand-in`, which names what it was made of.
#
#   tests/compose/standins.sh IMAGE …      the images to build; the program `garage` in $GARAGE
#
# Needs root, a Docker engine, and mmdebstrap.
set -euo pipefail

die() { printf 'standins: %s\n' "$*" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/var/tmp}/seawall-standins.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

# The machine's own sources of Debian 12, whatever they are.
# shellcheck disable=SC2016 # for apt
apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(CREATED_BY)' |
  awk '$2 ~ /^bookworm(-updates|-security)?$/ && $3 == "main" && $4 == "Packages" && !seen[$0]++ {
    print "deb", $1, $2, $3
  }' >"$work/sources"
grep --quiet ' bookworm main$' "$work/sources" || die 'the apt sources of this machine have no Debian 12'
apt-config dump | grep -E '^Acquire::(https?::|Check-|Retries)' >"$work/apt.conf" || true

# stand_in IMAGE PACKAGE[,PACKAGE] CHANGE… -- HOOK…: a root of Debian with packages, as an image.
stand_in() {
  local image=$1 packages=$2 changes=() hooks=()
  shift 2
  while [[ $1 != -- ]]; do changes+=(--change "$1") && shift; done
  shift
  for hook in "$@"; do hooks+=("--customize-hook=$hook"); done
  printf '== %s: a stand-in of %s\n' "$image" "$packages" >&2
  mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt="$work/apt.conf" \
    --aptopt='Acquire::Languages "none"' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "${hooks[@]}" bookworm "$work/root.tar" "$work/sources"
  docker import --change "LABEL seawall.stand-in=\"Debian's ${made_of:-$packages}\"" "${changes[@]}" \
    "$work/root.tar" "$image" >/dev/null
  rm "$work/root.tar"
}

# What the public image does with POSTGRES_USER, _PASSWORD and _DB.
cat >"$work/postgres" <<'END'
#!/bin/bash
set -euo pipefail
bin=$(echo /usr/lib/postgresql/*/bin) data=${PGDATA:-/var/lib/postgresql/data}
user=${POSTGRES_USER:-postgres}
as_server() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
install -d -o postgres -g postgres -m 700 "$data"
install -d -o postgres -g postgres /run/postgresql
if [[ ! -s $data/PG_VERSION ]]; then
  (umask 077 && printf '%s\n' "${POSTGRES_PASSWORD:?is not set}" >/run/postgresql/password)
  chown postgres /run/postgresql/password
  as_server "$bin/initdb" --pgdata="$data" --username="$user" --auth-host=scram-sha-256 \
    --auth-local=trust --pwfile=/run/postgresql/password --encoding=UTF8 --locale=C.UTF-8
  rm /run/postgresql/password
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  # The database is made before the first connection from outside.
  echo "CREATE DATABASE \"${POSTGRES_DB:-$user}\"" |
    as_server "$bin/postgres" --single -D "$data" postgres >/dev/null
fi
[[ $1 != postgres ]] || shift
exec setpriv --reuid=postgres --regid=postgres --init-groups \
  "$bin/postgres" -D "$data" -c listen_addresses='*' "$@"
END

for image in "$@"; do
  case $image in
    debian:bookworm-slim) stand_in "$image" ca-certificates 'CMD ["bash"]' -- ;;
    postgres:*)
      # shellcheck disable=SC2016 # for the hooks of mmdebstrap, where $1 is the root
      stand_in "$image" postgresql 'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]' \
        'VOLUME /var/lib/postgresql/data' -- \
        "install -m 755 '$work/postgres' \"\$1\"/usr/local/bin/docker-entrypoint.sh" \
        'rm -rf "$1"/var/lib/postgresql/*' \
        'for it in "$1"/usr/lib/postgresql/*/bin/*; do ln -sf "${it#"$1"}" "$1/usr/local/bin/"; done'
      ;;
    haproxy:*)
      stand_in "$image" haproxy 'ENTRYPOINT ["haproxy"]' 'USER haproxy' \
        'CMD ["-W","-db","-f","/usr/local/etc/haproxy/haproxy.cfg"]' --
      ;;
    prom/prometheus:*)
      # shellcheck disable=SC2016
      stand_in "$image" prometheus 'USER 65534' 'VOLUME /prometheus' 'ENTRYPOINT ["prometheus"]' -- \
        'install -d -o 65534 -g 65534 "$1"/prometheus'
      ;;
    dxflrs/garage:*)
      [[ -x ${GARAGE:-} ]] || die "GARAGE names no program: cargo install garage builds it"
      made_of="ca-certificates and $("$GARAGE" --version | head -1), built by cargo" \
        stand_in "$image" ca-certificates 'CMD ["/garage","server"]' -- \
        "install -m 755 '$GARAGE' \"\$1\"/garage"
      ;;
    *) die "there is no stand-in for $image" ;;
  esac
done

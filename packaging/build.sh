#!/usr/bin/env bash
# `./dev package [--profile NAME] [--out DIR]`: a Debian package, a tarball, and their digests.
#
# The same commit, toolchain and cargo home give the same bytes: times are those of the commit, and
# paths of this machine are left out of the program.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=dist out=${CARGO_TARGET_DIR:-target}/package
while [[ $# -gt 0 ]]; do
  case $1 in
    --profile) profile=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    *) printf 'usage: ./dev package [--profile NAME] [--out DIR]\n' >&2 && exit 2 ;;
  esac
done

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export LC_ALL=C
umask 022
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)
architecture=$(dpkg --print-architecture)
machine=$(uname -m)

# A profile that is built for other uses, too, is built as it is there, and once.
if [[ $profile == dist ]]; then
  export SOURCE_DATE_EPOCH
  home=${CARGO_HOME:-$HOME/.cargo}
  export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=/seawall --remap-path-prefix=$home=/cargo"
fi
cargo build --locked --profile "$profile" -p seawall
export SOURCE_DATE_EPOCH
built=$(realpath "${CARGO_TARGET_DIR:-target}/${profile/#dev/debug}/seawall")

mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Symbols and line tables lie apart: a debugger finds them by the link and the build's id.
objcopy --only-keep-debug --compress-debug-sections "$built" "$work/seawall.debug"
objcopy --strip-all --add-gnu-debuglink="$work/seawall.debug" "$built" "$work/seawall"
program=$work/seawall
# The oldest glibc that has every symbol that the program asks for.
glibc=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
glibc=${glibc#GLIBC_}

# put MODE FROM TO: a file of the tree that is packed.
put() { install -D --mode="$1" "$2" "$tree/$3"; }
# The units with the program where the package has it.
units() {
  local unit
  for unit in docs/operations/systemd/*; do
    sed 's#/usr/local/bin/seawall#/usr/bin/seawall#' "$unit" >"$work/unit"
    put 644 "$work/unit" "$1/$(basename "$unit")"
  done
}
# Man pages and completions, by the program itself.
"$program" man "$work/man"
for shell in bash zsh fish; do "$program" completions "$shell" >"$work/completions.$shell"; done
# settle TREE: times that the commit has, so that packing again gives the same bytes.
settle() { find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +; }

debian_package() {
  tree=$work/debian
  put 755 "$program" usr/bin/seawall
  local page doc=usr/share/doc/seawall
  for page in "$work"/man/*.1; do
    put 644 "$page" "usr/share/man/man1/$(basename "$page")"
    gzip --best --no-name "$tree/usr/share/man/man1/$(basename "$page")"
  done
  put 644 "$work/completions.bash" usr/share/bash-completion/completions/seawall
  put 644 "$work/completions.zsh" usr/share/zsh/vendor-completions/_seawall
  put 644 "$work/completions.fish" usr/share/fish/vendor_completions.d/seawall.fish
  units lib/systemd/system
  put 644 packaging/debian/README.Debian "$doc/README.Debian"
  put 644 CHANGELOG.md "$doc/changelog"
  gzip --best --no-name "$tree/$doc/changelog"
  sed -e '/^@MIT@$/{
    r '<(sed -e 's/^$/./' -e 's/^/ /' LICENSE-MIT)'
    d
  }' packaging/debian/copyright >"$work/copyright"
  put 644 "$work/copyright" "$doc/copyright"
  install --directory --mode=750 "$tree/etc/seawall"

  install --directory --mode=755 "$tree/DEBIAN"
  sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$architecture/" -e "s/@GLIBC@/$glibc/" \
    -e "s/@SIZE@/$(du --summarize --apparent-size --block-size=1K "$tree" | cut -f1)/" \
    packaging/debian/control.in >"$tree/DEBIAN/control"
  local script
  for script in postinst prerm postrm; do
    put 755 "packaging/debian/$script" "DEBIAN/$script"
  done
  (cd "$tree" && find usr lib -type f -print0 | sort --zero-terminated | xargs --null md5sum >DEBIAN/md5sums)
  settle "$tree"
  dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/seawall_${version}_$architecture.deb" >/dev/null
}

tarball() {
  local name=seawall-$version-linux-$machine
  tree=$work/$name
  put 755 "$program" bin/seawall
  local file
  for file in "$work"/man/*.1; do put 644 "$file" "share/man/man1/$(basename "$file")"; done
  for shell in bash zsh fish; do put 644 "$work/completions.$shell" "share/completions/seawall.$shell"; done
  for file in docs/operations/systemd/*; do put 644 "$file" "share/systemd/$(basename "$file")"; done
  for file in LICENSE-APACHE LICENSE-MIT CHANGELOG.md; do put 644 "$file" "$file"; done
  printf 'Needs Linux on %s with glibc %s or newer. Copy bin/seawall anywhere.\n' "$machine" "$glibc" >"$tree/README"
  chmod 644 "$tree/README"
  tar --create --directory="$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    "$name" | gzip --best --no-name >"$out/$name.tar.gz"
  install --mode=644 "$work/seawall.debug" "$out/$name.debug"
}

debian_package
tarball
(cd "$out" && sha256sum -- *"$version"*.deb *"$version"*.tar.gz *"$version"*.debug >SHA256SUMS)
ls -l --human-readable "$out"
printf 'needs glibc %s or newer (Debian 12 has 2.36)\n' "$glibc"

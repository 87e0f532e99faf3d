#!/bin/sh
# Defines the networks and machines of team/shop_2 2.0.0--rc_1 and starts them in order.
# Written by seawall, and anew by `seawall patch`: change a copy.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# define FILE ARCHITECTURE: what this host cannot run by itself, QEMU translates.
define() {
  case $(uname -m)-$2 in
    "$2-$2" | x86_64-i686)
      if [ -e /dev/kvm ]; then
        virsh define "$1"
        return
      fi ;;
  esac
  sed -e 's/^<domain type="kvm">/<domain type="qemu">/' \
    -e 's/^  <cpu mode="host-passthrough"/  <cpu mode="maximum"/' "$1" | virsh define /dev/stdin
}

# network NAME FILE
network() {
  virsh net-info "$1" >/dev/null 2>&1 || virsh net-define "$2"
  virsh net-list --name | grep -qxF -- "$1" || virsh net-start "$1"
}

# start NAME
start() {
  virsh list --name | grep -qxF -- "$1" || virsh start "$1"
}

network 'team-shop_2-back--end' "$here/"'networks/back--end.xml'
network 'team-shop_2-public' "$here/"'networks/public.xml'
define "$here/"'arm.xml' aarch64
define "$here/"'big.xml' s390x
define "$here/"'old.xml' i686
define "$here/"'power.xml' ppc64le
define "$here/"'web.xml' x86_64
define "$here/"'risc.xml' riscv64
define "$here/"'app--1.xml' x86_64
start 'team-shop_2-arm'
start 'team-shop_2-big'
start 'team-shop_2-old'
start 'team-shop_2-power'
start 'team-shop_2-web'
start 'team-shop_2-risc'
start 'team-shop_2-app--1'

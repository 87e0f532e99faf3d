#!/bin/sh
# Defines the networks and machines of team/shop_2 2.0.0--rc_1 and starts them in order.
# Written by seawall, and anew by `seawall patch`: change a copy.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

network() {
  virsh net-info "$1" >/dev/null 2>&1 || virsh net-define "$2"
  virsh net-list --name | grep -qxF -- "$1" || virsh net-start "$1"
}
start() {
  virsh list --name | grep -qxF -- "$1" || virsh start "$1"
}

network 'team-shop_2-back--end' "$here/"'networks/back--end.xml'
network 'team-shop_2-public' "$here/"'networks/public.xml'
virsh define "$here/"'arm.xml'
virsh define "$here/"'big.xml'
virsh define "$here/"'old.xml'
virsh define "$here/"'power.xml'
virsh define "$here/"'web.xml'
virsh define "$here/"'risc.xml'
virsh define "$here/"'app--1.xml'
start 'team-shop_2-arm'
start 'team-shop_2-big'
start 'team-shop_2-old'
start 'team-shop_2-power'
start 'team-shop_2-web'
start 'team-shop_2-risc'
start 'team-shop_2-app--1'

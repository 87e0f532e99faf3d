#!/bin/sh
# Makes the bridges of team/shop_2 2.0.0--rc_1 and starts its machines in order.
# Written by seawall, and anew by `seawall patch`: change a copy.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

bridge() {
  ip link show dev "$1" >/dev/null 2>&1 || ip link add name "$1" type bridge
  ip link set dev "$1" up
}

bridge 'swc5b3df5653' # back--end
bridge 'swafbc8011a1' # public
xl domid 'team-shop_2-old' >/dev/null 2>&1 || xl create "$here/"'old.cfg'
xl domid 'team-shop_2-web' >/dev/null 2>&1 || xl create "$here/"'web.cfg'
xl domid 'team-shop_2-app--1' >/dev/null 2>&1 || xl create "$here/"'app--1.cfg'

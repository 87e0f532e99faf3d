#!/bin/sh
# Starts the machines of team/shop_2 2.0.0--rc_1 in order, in the background.
# Written by seawall; `seawall patch` rewrites it: change a copy.
# Options and arguments go to each machine's script.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$here/"'run-arm.sh' --background "$@"
"$here/"'run-big.sh' --background "$@"
"$here/"'run-old.sh' --background "$@"
"$here/"'run-power.sh' --background "$@"
"$here/"'run-web.sh' --background "$@"
"$here/"'run-risc.sh' --background "$@"
"$here/"'run-app--1.sh' --background "$@"

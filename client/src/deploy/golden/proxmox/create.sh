#!/bin/sh
# Makes the machines of team/shop_2 2.0.0--rc_1 with qm.
# Written by seawall; `seawall patch` rewrites it: change a copy.
# Run it as root on a node. It copies the disks: the machines do not use the pulled files.
set -eu
usage() {
  echo "usage: $0 STORAGE [FIRST-ID]" >&2
  echo "  STORAGE   where the disks go, local-lvm for instance" >&2
  echo "  FIRST-ID  the first machine's id, the others follow; the next free one if left out" >&2
  exit 2
}
case $# in 1 | 2) ;; *) usage ;; esac
storage=$1
id=${2:-$(pvesh get /cluster/nextid)}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case $root in
  *[,\"]*) echo "$root: qm takes no path with a comma or quote: move the folder" >&2; exit 2 ;;
esac

# The bridge that each network is; there is none to be had by default.
bridge0=${BRIDGE0:?set it to the bridge of network back--end, vmbr1 for instance}
bridge1=${BRIDGE1:?set it to the bridge of network public, vmbr1 for instance}

# arm
qm create "$id" \
  --name 'team-shop-2-arm---70394077' \
  --description 'team/shop_2 2.0.0--rc_1, machine arm, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85' \
  --memory 2048 --cores 2 \
  --smbios1 uuid=b4a8b4fc-d183-8f24-89c7-c6537ce45a2c \
  --startup order=0 \
  --arch aarch64 \
  --bios ovmf \
  --efidisk0 "$storage:1,efitype=4m,pre-enrolled-keys=0" \
  --scsihw virtio-scsi-pci \
  --virtio0 "$storage:0,import-from=$root/"'arm/disk0.qcow2' \
  --boot order=virtio0 \
  --scsi0 "$storage:0,import-from=$root/"'arm/disk1.qcow2' \
  --scsi1 "$storage:0,import-from=$root/"'arm/disk2.qcow2'
id=$((id + 1))

# old
qm create "$id" \
  --name 'team-shop-2-old---ce2a2ebe' \
  --description 'team/shop_2 2.0.0--rc_1, machine old, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85' \
  --memory 31 --cores 2 \
  --smbios1 uuid=52183a98-cae5-8bca-85dc-559c261ada4b \
  --startup order=0 \
  --machine pc \
  --scsihw virtio-scsi-pci \
  --ide0 "$storage:0,import-from=$root/"'old/disk0.qcow2' \
  --boot order=ide0 \
  --sata0 "$storage:0,import-from=$root/"'old/disk1.qcow2' \
  --ide1 "$storage:0,import-from=$root/"'old/disk2.qcow2' \
  --ide2 "$storage:0,import-from=$root/"'old/disk3.qcow2' \
  --ide3 "$storage:0,import-from=$root/"'old/disk4.qcow2' \
  --sata1 "$storage:0,import-from=$root/"'old/disk5.qcow2' \
  --net0 "rtl8139=BC:24:11:A1:F8:EC,bridge=$bridge0"
id=$((id + 1))

# web
qm create "$id" \
  --name 'team-shop-2-web---9d09796a' \
  --description 'team/shop_2 2.0.0--rc_1, machine web, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85' \
  --memory 2048 --cores 2 \
  --smbios1 uuid=d64753f1-b0ad-8498-abf4-af6d8c4ab3e9 \
  --startup order=0 \
  --machine q35 \
  --bios ovmf \
  --efidisk0 "$storage:1,efitype=4m,pre-enrolled-keys=0" \
  --scsihw virtio-scsi-pci \
  --sata0 "$storage:0,import-from=$root/"'web/disk0.qcow2' \
  --boot order=sata0 \
  --sata1 "$storage:0,import-from=$root/"'web/disk1.qcow2' \
  --sata2 "$storage:0,import-from=$root/"'web/disk2.qcow2' \
  --sata3 "$storage:0,import-from=$root/"'web/disk3.qcow2' \
  --sata4 "$storage:0,import-from=$root/"'web/disk4.qcow2' \
  --sata5 "$storage:0,import-from=$root/"'web/disk5.qcow2' \
  --scsi0 "$storage:0,import-from=$root/"'web/disk6.qcow2' \
  --scsi1 "$storage:0,import-from=$root/"'web/disk7.qcow2'
id=$((id + 1))

# app--1
qm create "$id" \
  --name 'team-shop-2-app----1---71c539ea' \
  --description 'team/shop_2 2.0.0--rc_1, machine app--1, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85' \
  --memory 2048 --cores 255 \
  --smbios1 uuid=56096e09-966e-88db-9998-60a440c0e5d4 \
  --startup order=2 \
  --machine q35 \
  --bios ovmf \
  --efidisk0 "$storage:1,efitype=4m,pre-enrolled-keys=1" \
  --scsihw virtio-scsi-pci \
  --virtio0 "$storage:0,import-from=$root/"'app--1/disk0.qcow2' \
  --boot order=virtio0 \
  --scsi0 "$storage:0,import-from=$root/"'app--1/disk1.qcow2' \
  --scsi1 "$storage:0,import-from=$root/"'app--1/disk2.qcow2' \
  --sata0 "$storage:0,import-from=$root/"'app--1/disk3.qcow2' \
  --sata1 "$storage:0,import-from=$root/"'app--1/disk4.qcow2' \
  --net0 "virtio=BC:24:11:AF:79:FB,bridge=$bridge1" \
  --net1 "vmxnet3=BC:24:11:51:D4:4D,bridge=$bridge0" \
  --net2 "e1000e=BC:24:11:71:21:5E,bridge=$bridge0"
id=$((id + 1))

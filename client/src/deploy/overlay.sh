# A patch sets the overlays of the release that it leaves aside; coming back takes them up again.
if [ ! -d "$state" ] && [ -d "$state.aside" ]; then mv -- "$state.aside" "$state"; fi

# overlay MACHINE DISK FILE FORMAT makes what a machine writes to instead of a pulled disk, once.
overlay() {
  overlay=$state/$1/$2.qcow2
  if [ -e "$overlay" ]; then return; fi
  mkdir -p -- "$state/$1"
  # Found from the overlay's own folder, so that all of it can be moved.
  (umask 077 && qemu-img create -q -f qcow2 -F "$4" -b "../../../../$3" "$overlay.part")
  mv -- "$overlay.part" "$overlay"
}

state=$state/$machine
umask 077
mkdir -p -- "$state"

# QEMU ends a value at a comma that is not doubled.
escaped() { printf '%s' "$1" | sed 's/,/,,/g'; }

# first FILE... prints the first that exists.
first() {
  for file; do
    if [ -e "$file" ]; then printf '%s' "$file"; return; fi
  done
}

# disk NUMBER NAME FILE FORMAT sets $drive; guests write to an overlay unless told otherwise.
disk() {
  drive=$root/$3 format=$4
  if [ -z "$direct" ]; then
    overlay . "$2" "$3" "$4"
    drive=$state/$2.qcow2 format=qcow2
  fi
  drive="if=none,id=disk$1,format=$format,file=$(escaped "$drive")"
}

# card SLOT DEVICE MAC GROUP NETWORK
card() {
  kind=$net
  for of in $nets; do
    case $of in "$5="*) kind=${of#*=} ;; esac
  done
  case $kind in
    none) return ;;
    bridge:*) backend=bridge,id=net$1,br=${kind#bridge:} ;;
    user) backend=user,id=net$1 ;;
    socket) backend=socket,id=net$1,mcast=$4,localaddr=127.0.0.1 ;;
  esac
  cards="$cards -netdev $backend -device $2,netdev=net$1,mac=$3"
}
cards=''

# pflash CODE VARIABLES: the code as it is, the variables a copy that the machine keeps.
pflash() {
  if [ -z "$1" ] || [ -z "$2" ]; then
    echo "$0: no UEFI ($firmware) for $architecture on this host: install it (ovmf, qemu-efi-aarch64)" >&2
    exit 1
  fi
  variables=$state/uefi-variables.fd
  if [ ! -e "$variables" ]; then
    cp -- "$2" "$variables.part"
    chmod u+w -- "$variables.part"
    mv -- "$variables.part" "$variables"
  fi
  code="if=pflash,unit=0,format=raw,readonly=on,file=$(escaped "$1")"
  variables="if=pflash,unit=1,format=raw,file=$(escaped "$variables")"
}

code=''
case $firmware-$architecture in
  uefi-x86_64)
    pflash "$(first /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/edk2/x64/OVMF_CODE.4m.fd)" \
      "$(first /usr/share/OVMF/OVMF_VARS_4M.fd /usr/share/edk2/x64/OVMF_VARS.4m.fd)" ;;
  uefi-secure-x86_64)
    pflash "$(first /usr/share/OVMF/OVMF_CODE_4M.secboot.fd /usr/share/edk2/ovmf/OVMF_CODE.secboot.fd)" \
      "$(first /usr/share/OVMF/OVMF_VARS_4M.ms.fd /usr/share/edk2/ovmf/OVMF_VARS.secboot.fd)"
    board=$board,smm=on ;;
  uefi-i686)
    pflash "$(first /usr/share/OVMF/OVMF32_CODE_4M.secboot.fd /usr/share/qemu/edk2-i386-code.fd)" \
      "$(first /usr/share/OVMF/OVMF32_VARS_4M.fd /usr/share/qemu/edk2-i386-vars.fd)" ;;
  uefi-aarch64)
    pflash "$(first /usr/share/AAVMF/AAVMF_CODE.fd /usr/share/edk2/aarch64/QEMU_CODE.fd)" \
      "$(first /usr/share/AAVMF/AAVMF_VARS.fd /usr/share/edk2/aarch64/QEMU_VARS.fd)" ;;
  uefi-riscv64)
    pflash "$(first /usr/share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd)" \
      "$(first /usr/share/qemu-efi-riscv64/RISCV_VIRT_VARS.fd)" ;;
esac

accel=tcg model=''
case $architecture in
  x86_64 | i686 | aarch64 | s390x) model=max ;;
esac
case $(uname -m)-$architecture in
  "$architecture-$architecture" | x86_64-i686)
    if [ -z "$tcg" ] && [ -w /dev/kvm ]; then accel=kvm model=host; fi ;;
esac

# starts MODEL: whether QEMU gets as far as to a machine with this processor, which stays halted.
starts() {
  echo quit | "$program" -machine "$board,accel=kvm" -cpu "$1" -m 16 -nodefaults -display none \
    -S -monitor stdio >/dev/null 2>&1
}
if [ -z "$cpu" ] && [ "$accel-$architecture" = kvm-x86_64 ] && grep -qw hypervisor /proc/cpuinfo &&
  ! starts host && starts host,-arch-capabilities; then
  echo "$0: this host is a virtual machine that cannot set a register of the processor it shows" \
    "(kvm_buf_set_msrs): the machine goes without arch-capabilities" >&2
  model=host,-arch-capabilities
fi
model=${cpu:-$model}

# run ARGUMENT... becomes the machine.
run() {
  # shellcheck disable=SC2086 # words that hold no space
  set -- "$@" $cards
  if [ -n "$code" ]; then
    set -- -drive "$code" -drive "$variables" "$@"
    if [ "$firmware" = uefi-secure ]; then
      set -- -global driver=cfi.pflash01,property=secure,value=on "$@"
    fi
  fi
  case $architecture in
    x86_64 | i686) set -- -vga std "$@" ;;
  esac
  if [ -n "$background" ]; then
    serial=file,id=serial,path=$(escaped "$state/serial.log")
    set -- -daemonize -pidfile "$state/pid" -monitor none \
      -chardev "$serial" -serial chardev:serial "$@"
  else
    set -- -serial mon:stdio "$@"
  fi
  if [ -n "$model" ]; then set -- -cpu "$model" "$@"; fi
  exec "$program" -nodefaults -display none -name "guest=$name" -machine "$board,accel=$accel" "$@"
}

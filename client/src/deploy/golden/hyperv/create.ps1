# Written by seawall; `seawall patch` rewrites it: change a copy.
# Run it on the Hyper-V host, from an elevated PowerShell. -Start starts the machines in order.
[CmdletBinding()]
param(
    # The folder that the release was pulled into.
    [string]$Root = (Split-Path -Parent $PSScriptRoot),
    # Who signed what secure boot may start: MicrosoftWindows for Windows guests.
    [string]$SecureBootTemplate = 'MicrosoftUEFICertificateAuthority',
    # Machines write to the pulled disks themselves; a patch will then refuse them.
    [switch]$Direct,
    # Machines of these names that are there are removed first. Their overlays stay.
    [switch]$Replace,
    [switch]$Start
)
Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
# Names the folder of this release's overlays.
$release = 'd2b46c1803dabfc6'

function Find-Disk([string]$File, [string]$Origin) {
    $path = Join-Path $Root $File
    if (-not (Test-Path -LiteralPath $path)) {
        $make = 'qemu-img convert -O vhdx -o subformat=dynamic'
        throw "$path is missing; Hyper-V opens VHDX and VHD alone: make it of $Origin with $make"
    }
    $path
}

# A patch sets the overlays of the release that it leaves aside; coming back takes them up again.
$state = Join-Path (Join-Path $PSScriptRoot 'state') $release
$aside = $state + '.aside'
if ((-not (Test-Path -LiteralPath $state)) -and (Test-Path -LiteralPath $aside)) {
    Move-Item -LiteralPath $aside -Destination $state
}

# What a machine writes to: a differencing disk on the pulled one.
function Resolve-Disk([string]$Machine, [string]$Disk, [string]$Parent) {
    if ($Direct) { return $Parent }
    $folder = Join-Path $state $Machine
    $overlay = Join-Path $folder ($Disk + [IO.Path]::GetExtension($Parent))
    if (-not (Test-Path -LiteralPath $overlay)) {
        New-Item -ItemType Directory -Force -Path $folder | Out-Null
        New-VHD -Path $overlay -ParentPath $Parent -Differencing | Out-Null
    }
    $overlay
}

# Hyper-V would make a second machine of one name.
function Clear-Name([string]$Name) {
    if (-not (Get-VM -Name $Name -ErrorAction SilentlyContinue)) { return }
    if (-not $Replace) {
        throw "$Name is there: stop it, then give -Replace. Its checkpoints go, its disks stay"
    }
    Remove-VM -Name $Name -Force
}

function Confirm-Switch([string]$Name) {
    if (-not (Get-VMSwitch -Name $Name -ErrorAction SilentlyContinue)) {
        New-VMSwitch -Name $Name -SwitchType Private | Out-Null
    }
}

Confirm-Switch 'team-shop_2-back----end'
Confirm-Switch 'team-shop_2-public'

# arm
Clear-Name 'team-shop_2-arm'
$vm = New-VM -Name 'team-shop_2-arm' -Generation 2 -MemoryStartupBytes 2048MB -NoVHD
Set-VM -VM $vm -ProcessorCount 2 -StaticMemory -Notes 'team/shop_2 2.0.0--rc_1, machine arm, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85'
Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter
Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive
$disk = Resolve-Disk 'arm' 'disk0' (Find-Disk 'arm\disk0.vhdx' 'arm/disk0.qcow2')
$boot = Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $disk -Passthru
$disk = Resolve-Disk 'arm' 'disk1' (Find-Disk 'arm\disk1.vhdx' 'arm/disk1.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1 -Path $disk
$disk = Resolve-Disk 'arm' 'disk2' (Find-Disk 'arm\disk2.vhdx' 'arm/disk2.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 2 -Path $disk
Set-VMFirmware -VM $vm -EnableSecureBoot Off -FirstBootDevice $boot

# old
Clear-Name 'team-shop_2-old'
$vm = New-VM -Name 'team-shop_2-old' -Generation 1 -MemoryStartupBytes 32MB -NoVHD
Set-VM -VM $vm -ProcessorCount 2 -StaticMemory -Notes 'team/shop_2 2.0.0--rc_1, machine old, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85'
Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter
Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive
$disk = Resolve-Disk 'old' 'disk0' (Find-Disk 'old\disk0.vhdx' 'old/disk0.qcow2')
$boot = Add-VMHardDiskDrive -VM $vm -ControllerType IDE -ControllerNumber 0 -ControllerLocation 0 -Path $disk -Passthru
$disk = Resolve-Disk 'old' 'disk1' (Find-Disk 'old\disk1.vhdx' 'old/disk1.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $disk
$disk = Resolve-Disk 'old' 'disk2' (Find-Disk 'old\disk2.vhdx' 'old/disk2.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType IDE -ControllerNumber 0 -ControllerLocation 1 -Path $disk
$disk = Resolve-Disk 'old' 'disk3' (Find-Disk 'old\disk3.vhdx' 'old/disk3.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType IDE -ControllerNumber 1 -ControllerLocation 0 -Path $disk
$disk = Resolve-Disk 'old' 'disk4' (Find-Disk 'old\disk4.vhdx' 'old/disk4.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType IDE -ControllerNumber 1 -ControllerLocation 1 -Path $disk
$disk = Resolve-Disk 'old' 'disk5' (Find-Disk 'old\disk5.vhdx' 'old/disk5.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1 -Path $disk
Add-VMNetworkAdapter -VM $vm -SwitchName 'team-shop_2-back----end' -StaticMacAddress '00155DA1F8EC'

# web
Clear-Name 'team-shop_2-web'
$vm = New-VM -Name 'team-shop_2-web' -Generation 2 -MemoryStartupBytes 2048MB -NoVHD
Set-VM -VM $vm -ProcessorCount 2 -StaticMemory -Notes 'team/shop_2 2.0.0--rc_1, machine web, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85'
Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter
Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive
$disk = Resolve-Disk 'web' 'disk0' (Find-Disk 'web\disk0.vhdx' 'web/disk0.qcow2')
$boot = Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $disk -Passthru
$disk = Resolve-Disk 'web' 'disk1' (Find-Disk 'web\disk1.vhdx' 'web/disk1.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1 -Path $disk
$disk = Resolve-Disk 'web' 'disk2' (Find-Disk 'web\disk2.vhdx' 'web/disk2.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 2 -Path $disk
$disk = Resolve-Disk 'web' 'disk3' (Find-Disk 'web\disk3.vhdx' 'web/disk3.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 3 -Path $disk
$disk = Resolve-Disk 'web' 'disk4' (Find-Disk 'web\disk4.vhdx' 'web/disk4.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 4 -Path $disk
$disk = Resolve-Disk 'web' 'disk5' (Find-Disk 'web\disk5.vhdx' 'web/disk5.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 5 -Path $disk
$disk = Resolve-Disk 'web' 'disk6' (Find-Disk 'web\disk6.vhdx' 'web/disk6.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 6 -Path $disk
$disk = Resolve-Disk 'web' 'disk7' (Find-Disk 'web\disk7.vhdx' 'web/disk7.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 7 -Path $disk
Set-VMFirmware -VM $vm -EnableSecureBoot Off -FirstBootDevice $boot

# app--1
Clear-Name 'team-shop_2-app----1'
$vm = New-VM -Name 'team-shop_2-app----1' -Generation 2 -MemoryStartupBytes 2048MB -NoVHD
Set-VM -VM $vm -ProcessorCount 240 -StaticMemory -Notes 'team/shop_2 2.0.0--rc_1, machine app--1, blake3:d2b46c1803dabfc6c5547f7790b053e4e85d1f95058214ea5ffab69a611f2c85'
Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter
Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive
Set-VM -VM $vm -AutomaticStartDelay 60
$disk = Resolve-Disk 'app--1' 'disk0' (Find-Disk 'app--1\disk0.vhdx' 'app--1/disk0.qcow2')
$boot = Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 0 -Path $disk -Passthru
$disk = Resolve-Disk 'app--1' 'disk1' (Find-Disk 'app--1\disk1.vhdx' 'app--1/disk1.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 1 -Path $disk
$disk = Resolve-Disk 'app--1' 'disk2' (Find-Disk 'app--1\disk2.vhdx' 'app--1/disk2.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 2 -Path $disk
$disk = Resolve-Disk 'app--1' 'disk3' (Find-Disk 'app--1\disk3.vhdx' 'app--1/disk3.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 3 -Path $disk
$disk = Resolve-Disk 'app--1' 'disk4' (Find-Disk 'app--1\disk4.vhdx' 'app--1/disk4.qcow2')
Add-VMHardDiskDrive -VM $vm -ControllerType SCSI -ControllerNumber 0 -ControllerLocation 4 -Path $disk
Add-VMNetworkAdapter -VM $vm -SwitchName 'team-shop_2-public' -StaticMacAddress '00155DAF79FB'
Add-VMNetworkAdapter -VM $vm -SwitchName 'team-shop_2-back----end' -StaticMacAddress '00155D51D44D'
Add-VMNetworkAdapter -VM $vm -SwitchName 'team-shop_2-back----end' -StaticMacAddress '00155D71215E'
Set-VMFirmware -VM $vm -EnableSecureBoot On -SecureBootTemplate $SecureBootTemplate -FirstBootDevice $boot

if ($Start) {
    Start-VM -Name 'team-shop_2-arm'
    Start-VM -Name 'team-shop_2-old'
    Start-VM -Name 'team-shop_2-web'
    Start-VM -Name 'team-shop_2-app----1'
}

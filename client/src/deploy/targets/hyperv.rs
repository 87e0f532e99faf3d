//! Hyper-V: one PowerShell script that creates the switches and the virtual machines.
//!
//! BIOS becomes generation 1, UEFI generation 2. The script is ASCII, because Windows PowerShell
//! decodes other bytes in the host's code page.

use seawall_api::release::{Architecture, Bus};

use crate::deploy::guest::{architecture_name, bus_name, host_name, model_name};
use crate::deploy::identity::Vendor;
use crate::deploy::quote::powershell;
use crate::deploy::{DescriptorTarget, Draft, Guest, Subject, state_name};

/// Disks on the IDE controllers of generation 1, and on one SCSI controller.
const IDE_PLACES: usize = 4;
const SCSI_PLACES: usize = 64;
/// The maximum number of synthetic network cards of a machine.
const CARDS_MAX: usize = 8;
/// The maximum number of virtual processors, for generations 1 and 2.
const CPUS_MAX: [u32; 2] = [64, 240];
/// Memory in MiB: the minimum and the granularity.
const MEMORY_MIN: u64 = 32;
const MEMORY_STEP: u64 = 2;

const BEGIN: &str = r#"# Written by seawall; `seawall patch` rewrites it: change a copy.
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
@RELEASE@

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
"#;

pub(in crate::deploy) fn describe(draft: &mut Draft, subject: &Subject<'_>, guests: &[Guest<'_>]) {
    let release = format!("$release = '{}'\n", state_name(subject.release.digest()));
    let mut script = BEGIN.replace("@RELEASE@\n", &release);
    let networks = &subject.release.document().networks;
    if !networks.is_empty() {
        script.push('\n');
    }
    for network in networks {
        let name = powershell(&host_name(subject, network.name.as_str()));
        script.push_str(&format!("Confirm-Switch {name}\n"));
    }
    let mut described = Vec::new();
    for guest in guests {
        let architecture = guest.machine.architecture;
        if guest.is_pc() || architecture == Architecture::Aarch64 {
            script.push_str(&machine(draft, subject, guest));
            described.push(guest);
        } else {
            let what = format!("architecture {}", architecture_name(architecture));
            draft.lose(guest, what, "left out: Hyper-V has no such machines");
        }
    }
    script.push_str("\nif ($Start) {\n");
    for guest in described {
        script.push_str(&format!("    Start-VM -Name {}\n", powershell(&guest.name)));
    }
    script.push_str("}\n");
    draft.file("create.ps1", script);
}

fn machine(draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>) -> String {
    let (release, machine) = (subject.release, guest.machine);
    let is_second = guest.is_uefi() || !guest.is_pc();
    let generation = if is_second { 2 } else { 1 };
    report_lost_hardware(draft, guest, is_second);
    let memory = machine.memory_mib.max(MEMORY_MIN).next_multiple_of(MEMORY_STEP);
    if memory != machine.memory_mib {
        draft.lose(guest, format!("{} MiB of memory", machine.memory_mib), format!("{memory} MiB"));
    }
    let notes = format!(
        "{} {}, machine {}, {}",
        release.application(),
        release.version(),
        machine.name,
        release.digest()
    );
    let mut script = format!(
        "\n# {name}\n\
         Clear-Name {quoted}\n\
         $vm = New-VM -Name {quoted} -Generation {generation} -MemoryStartupBytes {memory}MB \
         -NoVHD\n\
         Set-VM -VM $vm -ProcessorCount {cpus} -StaticMemory -Notes {notes}\n\
         Get-VMNetworkAdapter -VM $vm | Remove-VMNetworkAdapter\n\
         Get-VMDvdDrive -VM $vm | Remove-VMDvdDrive\n",
        name = machine.name,
        quoted = powershell(&guest.name),
        cpus = guest.cpus(draft, CPUS_MAX[usize::from(is_second)]),
        notes = powershell(&notes),
    );
    if guest.rank > 0 {
        // Each rank waits another 30 seconds when the host starts the machines.
        let delay = guest.rank.saturating_mul(30);
        script.push_str(&format!("Set-VM -VM $vm -AutomaticStartDelay {delay}\n"));
        let what = format!("start order {}", machine.start_order);
        draft.lose(guest, what, format!("with -Start in order; with the host after {delay} s"));
    }
    disks(&mut script, draft, guest, is_second);
    cards(&mut script, draft, subject, guest);
    if is_second {
        let secure = if guest.is_secure() {
            "-EnableSecureBoot On -SecureBootTemplate $SecureBootTemplate"
        } else {
            "-EnableSecureBoot Off"
        };
        script.push_str(&format!("Set-VMFirmware -VM $vm {secure} -FirstBootDevice $boot\n"));
    }
    script
}

fn report_lost_hardware(draft: &mut Draft, guest: &Guest<'_>, is_second: bool) {
    let machine = guest.machine;
    guest.report_lost_annotations(draft);
    let takes = DescriptorTarget::Hyperv.formats();
    let takes = if is_second { &takes[..1] } else { takes };
    let instead = "Hyper-V does not open it: convert it to .vhdx beside it";
    guest.report_lost_formats(draft, takes, instead);
    match machine.architecture {
        Architecture::I686 if is_second => {
            draft.lose(guest, "UEFI of 32 bits", "UEFI of 64 bits, which starts no 32-bit loader");
        }
        Architecture::Aarch64 if !guest.is_uefi() => {
            draft.lose(guest, "a PC BIOS", "UEFI");
        }
        _ => {}
    }
    if guest.is_secure() {
        let instead = "the template `MicrosoftUEFICertificateAuthority`, unless you name another";
        draft.lose(guest, "secure boot, not saying whose keys", instead);
    }
}

/// Returns the file that Hyper-V opens: the pulled file, or a `.vhdx` converted from it.
fn vhd_file(file: &str, format: &str, takes: &[&str]) -> String {
    let stem = file.strip_suffix(format).filter(|_| !takes.contains(&format));
    stem.map_or_else(|| file.to_owned(), |stem| format!("{stem}vhdx"))
}

fn disks(script: &mut String, draft: &mut Draft, guest: &Guest<'_>, is_second: bool) {
    let (mut ide, mut scsi) = (0, 0);
    let takes = DescriptorTarget::Hyperv.formats();
    let takes = if is_second { &takes[..1] } else { takes };
    for (at, disk) in guest.disks.iter().enumerate() {
        // Generation 1 boots only from IDE. Generation 2 has no IDE.
        let wants_ide = !is_second && (at == 0 || disk.disk.bus == Bus::Ide);
        let (bus, number, place) = if wants_ide && ide < IDE_PLACES {
            ide += 1;
            (Bus::Ide, (ide - 1) / 2, (ide - 1) % 2)
        } else {
            scsi += 1;
            (Bus::Scsi, (scsi - 1) / SCSI_PLACES, (scsi - 1) % SCSI_PLACES)
        };
        if bus == Bus::Scsi && place == 0 && number > 0 {
            script.push_str("Add-VMScsiController -VM $vm\n");
        }
        if bus != disk.disk.bus {
            disk.report_lost_bus(draft, guest, bus_name(bus));
        } else if bus == Bus::Scsi {
            disk.report_lost_bus(draft, guest, "Hyper-V's own SCSI controller (hv_storvsc)");
        }
        let file = vhd_file(&disk.file, disk.format, takes);
        let (file, origin) = (powershell(&file.replace('/', "\\")), powershell(&disk.file));
        let kind = if bus == Bus::Ide { "IDE" } else { "SCSI" };
        let kept = if at == 0 { "$boot = " } else { "" };
        let through = if at == 0 { " -Passthru" } else { "" };
        let machine = powershell(guest.machine.name.as_str());
        let name = powershell(disk.disk.name.as_str());
        script.push_str(&format!(
            "$disk = Resolve-Disk {machine} {name} (Find-Disk {file} {origin})\n\
             {kept}Add-VMHardDiskDrive -VM $vm -ControllerType {kind} -ControllerNumber {number} \
             -ControllerLocation {place} -Path $disk{through}\n"
        ));
    }
}

fn cards(script: &mut String, draft: &mut Draft, subject: &Subject<'_>, guest: &Guest<'_>) {
    for (slot, (card, mac)) in guest.cards(subject, Vendor::HyperV).into_iter().enumerate() {
        let (network, model) = (&card.network, model_name(card.model));
        let what = format!("network card {slot} ({model} on {network})");
        if slot >= CARDS_MAX {
            draft.lose(guest, what, format!("left out: at most {CARDS_MAX} cards"));
            continue;
        }
        draft.lose(guest, what, "Hyper-V's synthetic card (hv_netvsc)");
        let switch = powershell(&host_name(subject, network.as_str()));
        let mac = powershell(&mac.replace(':', "").to_uppercase());
        script.push_str(&format!(
            "Add-VMNetworkAdapter -VM $vm -SwitchName {switch} -StaticMacAddress {mac}\n"
        ));
    }
}

//! Examples, at least two per command, for `--help` and the man pages. A test parses each of them.

mod cloud;
mod registry;

/// A command line and its description.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) line: &'static str,
    pub(super) does: &'static str,
}

const fn example(does: &'static str, line: &'static str) -> Example {
    Example { line, does }
}

/// Returns the examples of a command by its path, such as `retention set`; empty for an unknown
/// path.
pub(super) fn of(path: &str) -> &'static [Example] {
    let found = EXAMPLES
        .iter()
        .chain(registry::EXAMPLES)
        .chain(cloud::EXAMPLES)
        .find(|(of, _)| *of == path);
    found.map_or(&[], |(_, examples)| examples)
}

type Examples = (&'static str, &'static [Example]);

/// The examples of the commands for releases, disk images and shells.
const EXAMPLES: &[Examples] = &[
    (
        "",
        &[
            example(
                "Push a disk as the first release of an application",
                "seawall push shop:1.0.0 --machine web=disk.qcow2",
            ),
            example("Pull the release on a host", "seawall pull shop:1.0.0 --into ./shop"),
            example(
                "Move the host to the next release in place",
                "seawall patch ./shop --to shop:1.1.0",
            ),
        ],
    ),
    (
        "push",
        &[
            example(
                "One machine with one disk",
                "seawall push shop:1.0.0 --machine web=disk.qcow2",
            ),
            example(
                "Two machines, the second with two named disks",
                "seawall push shop:1.0.0 --machine web=web.raw --machine db=root:db.raw,data:data.vmdk",
            ),
            example(
                "Machines that an application.toml describes",
                "seawall push shop:1.1.0 --file application.toml",
            ),
            example("The machines of an OVA package", "seawall push shop:1.2.0 appliance.ova"),
        ],
    ),
    (
        "bundle",
        &[
            example(
                "Carry a channel and its release on a stick",
                "seawall bundle create shop:stable -o shop.bundle",
            ),
            example(
                "Leave out what the site holds, by its list",
                "seawall bundle create shop:stable -o shop.bundle --have site.have --split 4GiB",
            ),
            example("Bring it into the registry there", "seawall bundle import shop.bundle"),
        ],
    ),
    (
        "bundle create",
        &[
            example(
                "Carry a channel and its release",
                "seawall bundle create shop:stable -o shop.bundle",
            ),
            example(
                "The same in files for a stick",
                "seawall bundle create shop:stable -o shop.bundle --split 4GiB",
            ),
        ],
    ),
    (
        "bundle have",
        &[
            example("Write the list for `create --have`", "seawall bundle have > site.have"),
            example(
                "The same for a registry in a directory",
                "seawall bundle have --registry /var/lib/seawall > site.have",
            ),
        ],
    ),
    (
        "bundle verify",
        &[
            example("Check a bundle", "seawall bundle verify shop.bundle"),
            example("Check one part alone", "seawall bundle verify shop.bundle.2"),
        ],
    ),
    (
        "bundle import",
        &[
            example("Bring a bundle into the registry", "seawall bundle import shop.bundle"),
            example(
                "See how much would be read",
                "seawall bundle import shop.bundle.1 shop.bundle.2 --dry-run",
            ),
        ],
    ),
    (
        "copy",
        &[
            example(
                "Bring a channel and its release to another site",
                "seawall copy shop:stable --to https://site.example",
            ),
            example(
                "Bring the last three releases of every application of a team",
                "seawall copy 'team/*:*' --newest 3 --to https://site.example",
            ),
            example(
                "See how much would travel",
                "seawall copy shop:* --to https://site.example --dry-run",
            ),
        ],
    ),
    (
        "pull",
        &[
            example(
                "Pull the release that a channel points at",
                "seawall pull shop:stable --into ./shop",
            ),
            example(
                "Pull disks as qcow2, with scripts that run them under QEMU",
                "seawall pull shop:1.0.0 --as qemu",
            ),
            example(
                "See what would be downloaded for one machine",
                "seawall pull shop:1.0.0/web --dry-run",
            ),
        ],
    ),
    (
        "describe",
        &[
            example("Write domain XML for libvirt", "seawall describe ./shop --as libvirt"),
            example(
                "Write scripts for QEMU and for Proxmox VE",
                "seawall describe ./shop --as qemu --as proxmox",
            ),
        ],
    ),
    (
        "export",
        &[
            example(
                "Write a disk in the format of the file's extension",
                "seawall export shop:1.0.0/web/disk0 -o web.vmdk",
            ),
            example(
                "Write a disk to a volume of another host",
                "seawall export shop:stable/web/disk0 -o - | ssh host dd of=/dev/vg/web",
            ),
            example(
                "Write a VHD for Azure",
                "seawall export shop:1.0.0/web/disk0 --format vhd-fixed --round mib -o web.vhd",
            ),
        ],
    ),
    (
        "patch",
        &[
            example(
                "See what would be downloaded",
                "seawall patch ./shop --to shop:1.1.0 --dry-run",
            ),
            example(
                "Move to the current release of the directory's channel",
                "seawall patch ./shop",
            ),
            example("Follow a channel from now on", "seawall patch ./shop --to stable"),
        ],
    ),
    (
        "diff",
        &[
            example("Compare two versions", "seawall diff shop:1.0.0 shop:1.1.0"),
            example(
                "Compare a pulled release with the current one of its channel",
                "seawall diff ./shop",
            ),
            example("Compare two channels", "seawall diff shop:stable beta"),
        ],
    ),
    (
        "list",
        &[
            example("List the applications", "seawall list"),
            example("List the releases of an application", "seawall list shop"),
            example("Print only the versions, for a script", "seawall list shop --format names"),
            example(
                "Choose columns, for a spreadsheet",
                "seawall list shop --columns version,published,data --format csv",
            ),
        ],
    ),
    (
        "show",
        &[
            example("Show what is in a release", "seawall show shop:1.0.0"),
            example("Print a release as JSON", "seawall show shop:stable --json"),
        ],
    ),
    (
        "channels",
        &[
            example("List the channels of an application", "seawall channels shop"),
            example("See who moved a channel, and when", "seawall channels shop stable"),
        ],
    ),
    (
        "promote",
        &[
            example("Point a channel at a release", "seawall promote shop:1.1.0 stable"),
            example(
                "Point a channel at the release of another channel",
                "seawall promote shop:beta stable",
            ),
            example(
                "Fail if someone else has moved the channel, in a script",
                "seawall promote shop:1.1.0 stable --expect 7",
            ),
        ],
    ),
    (
        "rm",
        &[
            example("See what holds a release", "seawall rm shop:1.0.0 --dry-run"),
            example("Delete it", "seawall rm shop:1.0.0"),
        ],
    ),
    (
        "pin",
        &[
            example(
                "Keep a release for the auditors",
                "seawall pin shop:1.0.0 --name audit --reason 'audit of 2026'",
            ),
            example(
                "Keep the release that a lockfile names",
                "seawall pin --lockfile shop/seawall.lock --reason 'in production'",
            ),
        ],
    ),
    (
        "unpin",
        &[
            example("Remove the pin `manual`", "seawall unpin shop:1.0.0"),
            example("Remove another pin", "seawall unpin shop:1.0.0 --name audit"),
        ],
    ),
    (
        "status",
        &[
            example("Every release that this host pulled", "seawall status"),
            example("One directory", "seawall status ./shop"),
        ],
    ),
    (
        "report",
        &[
            example(
                "Report every release that this host pulled, from a timer",
                "seawall report --all",
            ),
            example(
                "Report one directory, and keep its release for two weeks",
                "seawall report ./shop --ttl 2w",
            ),
        ],
    ),
    (
        "hosts",
        &[
            example("List the hosts of an application", "seawall hosts shop"),
            example("Forget a host that no longer exists", "seawall hosts --forget web-3"),
        ],
    ),
    (
        "retention",
        &[
            example("Keep the last five releases", "seawall retention set shop --keep-last 5"),
            example("See what would be deleted", "seawall retention plan shop"),
        ],
    ),
    (
        "retention show",
        &[
            example("Show the policies of an application", "seawall retention show shop"),
            example("Print them as JSON", "seawall retention show shop --json"),
        ],
    ),
    (
        "retention set",
        &[
            example("Keep the last five releases", "seawall retention set shop --keep-last 5"),
            example(
                "Keep releases that a channel left in the last 30 days",
                "seawall retention set shop --channel stable --keep-superseded 30d",
            ),
            example("Remove the policy", "seawall retention set shop --none"),
        ],
    ),
    (
        "retention plan",
        &[
            example("See what would be deleted, and why", "seawall retention plan shop"),
            example("Print it as JSON", "seawall retention plan shop --json"),
        ],
    ),
    (
        "retention apply",
        &[
            example("Delete the releases in the plan", "seawall retention apply shop"),
            example(
                "The same in a registry's directory",
                "seawall retention apply shop --registry /var/lib/seawall",
            ),
        ],
    ),
    (
        "verify",
        &[
            example("Hash the disks of a pulled release", "seawall verify ./shop"),
            example("Hash a release in the registry", "seawall verify shop:1.0.0"),
        ],
    ),
    (
        "convert",
        &[
            example(
                "Convert an image; the formats follow from content and name",
                "seawall convert disk.vmdk disk.qcow2",
            ),
            example(
                "State the input format, and replace an existing file",
                "seawall convert raw:disk.img disk.qcow2 --force",
            ),
            example(
                "Write to a pipe",
                "seawall convert disk.vhdx - --format raw | ssh host dd of=/dev/vg/web",
            ),
        ],
    ),
    (
        "inspect",
        &[
            example("Show the format of an image", "seawall inspect disk.vmdk"),
            example("Also print the digest of the disk", "seawall inspect disk.qcow2 --digest"),
        ],
    ),
    (
        "completions",
        &[
            example("For bash, in this shell", "source <(seawall completions bash)"),
            example(
                "For zsh, from the next shell on",
                "seawall completions zsh > ~/.zfunc/_seawall",
            ),
        ],
    ),
    (
        "man",
        &[
            example("Read the man page", "seawall man | man -l -"),
            example("Write a page for each command", "seawall man ~/.local/share/man/man1"),
        ],
    ),
];

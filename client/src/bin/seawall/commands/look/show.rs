//! `seawall show REFERENCE`.

use std::collections::BTreeMap;

use seawall::error::ErrorKind;
use seawall::resolve::document;
use seawall_api::digest::ReleaseDigest;
use seawall_api::reference::Selector;
use seawall_api::release::{Document, Machine, NetworkCard, Release};
use seawall_api::units::HumanBytes;
use seawall_api::v1::{Holder, LostObject};
use serde::Serialize;

use super::list::own_bytes;
use crate::command::Target;
use crate::commands::Context;
use crate::commands::retention::holders_text;
use crate::failure::Failure;
use crate::output::{answer, count, table};

#[derive(Serialize)]
struct Shown<'a> {
    digest: ReleaseDigest,
    release: &'a Document,
    /// The release's lost objects; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<LostObject>,
    /// The holders of the release, which prevent its deletion.
    holders: Vec<Holder>,
    /// The bytes freed by deleting the release; absent if the registry cannot tell.
    #[serde(rename = "ownBytes", skip_serializing_if = "Option::is_none")]
    own_bytes: Option<u64>,
}

pub(crate) async fn show(context: &Context, target: &Target) -> Result<(), Failure> {
    let registry = context.registry.as_ref();
    let release = document(registry, &target.application, &target.selector).await?;
    let lost = lost_of(context, &release).await?;
    let holders = holders_of(context, &release).await?;
    let digest = release.digest();
    let own_bytes = own_bytes(context).await.get(&digest).copied();
    let shown = Shown { digest, release: release.document(), lost, holders, own_bytes };
    answer(context.style, &shown, |shown| {
        let frees = shown.own_bytes.map_or_else(String::new, |bytes| {
            format!("\nunique to this release: {}\n", HumanBytes(bytes))
        });
        text(&release) + &frees + &held(&shown.holders) + &damage(&shown.lost)
    })
}

fn held(holders: &[Holder]) -> String {
    if holders.is_empty() { String::new() } else { format!("\n{}", holders_text(holders)) }
}

/// Returns the holders of a release; empty if the registry is too old to answer, or is a depot.
async fn holders_of(context: &Context, release: &Release) -> Result<Vec<Holder>, Failure> {
    let selector = Selector::Digest(release.digest());
    match context.registry.holders(release.application(), &selector).await {
        Ok(held) => Ok(held.holders),
        Err(error) if error.kind() == ErrorKind::NotFound || error.is_read_only() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Returns the lost objects of a release; empty if the registry is too old to answer, or is a
/// depot.
async fn lost_of(context: &Context, release: &Release) -> Result<Vec<LostObject>, Failure> {
    let selector = Selector::Digest(release.digest());
    match context.registry.damage_of(release.application(), &selector).await {
        Ok(damaged) => Ok(damaged.lost),
        Err(error) if error.kind() == ErrorKind::NotFound || error.is_read_only() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn damage(lost: &[LostObject]) -> String {
    if lost.is_empty() {
        return String::new();
    }
    let rows = lost.iter().map(|lost| {
        let disks = if lost.disks.is_empty() { "-".to_owned() } else { lost.disks.join(", ") };
        vec![lost.object.clone(), disks, lost.what.clone()]
    });
    format!(
        "\nDAMAGED: `seawall repair` restores lost objects\n{}",
        table(&["LOST", "DISKS", "WHY"], rows)
    )
}

fn text(release: &Release) -> String {
    let document = release.document();
    let disk_bytes: u64 = release.disks().map(|(_, disk)| disk.len).sum();
    let mut text = format!(
        "{}:{}\n{}\n{}, {}, {} as the guests see them\n",
        release.application(),
        release.version(),
        release.digest(),
        count(release.machines().len() as u64, "machine"),
        count(release.disks().count() as u64, "disk"),
        HumanBytes(disk_bytes),
    );
    text += "\n";
    text += &table(
        &["MACHINE", "ARCHITECTURE", "FIRMWARE", "CPUS", "MEMORY", "START", "NETWORKS"],
        release.machines().iter().map(machine_row),
    );
    text += "\n";
    let rows = release.disks().map(|(machine, disk)| {
        let name = format!("{}/{}", machine.name, disk.name);
        let len = HumanBytes(disk.len).to_string();
        vec![name, word(&disk.bus), len, disk.content.to_string()]
    });
    text += &table(&["DISK", "BUS", "LENGTH", "CONTENT (as b3sum prints it)"], rows);
    if !document.networks.is_empty() {
        let rows = document.networks.iter();
        let rows = rows.map(|network| vec![network.name.to_string(), network.description.clone()]);
        text += "\n";
        text += &table(&["NETWORK", "DESCRIPTION"], rows);
    }
    if !document.parameters.is_empty() {
        let rows = document.parameters.iter().map(|(key, parameter)| {
            let default = match (&parameter.default, parameter.required) {
                (Some(default), _) => default.clone(),
                (None, true) => "(required)".to_owned(),
                (None, false) => "-".to_owned(),
            };
            vec![key.clone(), default, parameter.description.clone()]
        });
        text += "\n";
        text += &table(&["PARAMETER", "DEFAULT", "DESCRIPTION"], rows);
    }
    text += &annotations("", &document.annotations);
    for machine in release.machines() {
        text += &annotations(&format!("{}/", machine.name), &machine.annotations);
    }
    text
}

fn machine_row(machine: &Machine) -> Vec<String> {
    let card = |card: &NetworkCard| format!("{} ({})", card.network, word(&card.model));
    let cards: Vec<_> = machine.network_cards.iter().map(card).collect();
    vec![
        machine.name.to_string(),
        word(&machine.architecture),
        word(&machine.firmware),
        machine.cpus.to_string(),
        HumanBytes(machine.memory_mib << 20).to_string(),
        machine.start_order.to_string(),
        if cards.is_empty() { "-".to_owned() } else { cards.join(", ") },
    ]
}

fn annotations(owner: &str, annotations: &BTreeMap<String, String>) -> String {
    if annotations.is_empty() {
        return String::new();
    }
    let rows = annotations.iter().map(|(key, text)| vec![format!("{owner}{key}"), text.clone()]);
    format!("\n{}", table(&["ANNOTATION", "TEXT"], rows))
}

/// Returns the name of an enumeration's value in a release document.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use seawall::spec::{DiskContent, DiskSpec, file};
    use seawall_api::digest::{ContentDigest, IndexDigest};
    use seawall_api::names::MachineName;
    use seawall_api::units::DiskLen;

    use super::*;

    fn release() -> Release {
        let toml = "
            [annotations]
            owner = 'shop'
            [parameters.hostname]
            required = true
            [networks.lan]
            [machines.web]
            architecture = 'aarch64'
            firmware = 'uefi-secure'
            memory = '2 GiB'
            disks = [{ path = 'a' }]
            network-cards = [{ network = 'lan' }]";
        let content = |_: &MachineName, _: &DiskSpec| {
            Ok::<_, std::convert::Infallible>(DiskContent {
                len: DiskLen::new(1 << 30).unwrap(),
                content: ContentDigest::from_bytes([1; 32]),
                index: IndexDigest::from_bytes([2; 32]),
            })
        };
        let spec = file::parse(toml, std::path::Path::new("application.toml")).unwrap();
        let (application, version) = ("team/web".parse().unwrap(), "1.0".parse().unwrap());
        Release::new(spec.into_document(application, version, content).unwrap()).unwrap()
    }

    #[test]
    fn a_release_is_shown_with_all_that_is_in_it() {
        let release = release();
        let expect = format!(
            "team/web:1.0\n{digest}\n1 machine, 1 disk, 1.0 GiB as the guests see them\n\n\
             MACHINE  ARCHITECTURE  FIRMWARE     CPUS  MEMORY   START  NETWORKS\n\
             web      aarch64       uefi-secure  1     2.0 GiB  0      lan (virtio)\n\n\
             DISK       BUS     LENGTH   CONTENT (as b3sum prints it)\n\
             web/disk0  virtio  1.0 GiB  blake3:{content}\n\n\
             NETWORK  DESCRIPTION\n\
             lan\n\n\
             PARAMETER  DEFAULT     DESCRIPTION\n\
             hostname   (required)\n\n\
             ANNOTATION  TEXT\n\
             owner       shop\n",
            digest = release.digest(),
            content = "01".repeat(32),
        );
        assert_eq!(text(&release), expect);
    }

    #[test]
    fn the_json_of_a_release_is_its_document_and_its_digest() {
        let release = release();
        let (digest, lost) = (release.digest(), vec![]);
        let shown =
            Shown { digest, release: release.document(), lost, holders: vec![], own_bytes: None };
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["digest"], release.digest().to_string());
        assert_eq!(json["release"]["machines"][0]["memoryMib"], 2048);
    }
}

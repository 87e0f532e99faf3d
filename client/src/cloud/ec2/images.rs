//! AMIs.

use std::time::{Duration, Instant};

use roxmltree::Node;
use seawall_api::names::ApplicationName;
use seawall_api::release::{Architecture, Firmware};

use super::super::{Change, CloudError, Image, ImageSpec, Origin, State};
use super::query::{Query, tags, text};
use super::wire::Wire;

/// The maximum number of disks of an AMI: the root, and the devices that are named for others.
pub(super) const DISKS_MAX: usize = 1 + LETTERS.len() + 26;
/// The letters of the devices `/dev/sdf` to `/dev/sdp`.
const LETTERS: &str = "fghijklmnop";
/// The device of the root.
const ROOT: &str = "/dev/sda1";
/// The lengths of a name.
const NAME_LEN_MAX: usize = 128;
/// The digits of the release that distinguish two names.
const DIGITS: usize = 12;
/// The time in which a new image becomes usable.
const READY_TIME_MAX: Duration = Duration::from_secs(900);
/// The maximum number of values of a filter.
const FILTER_VALUES_MAX: usize = 200;
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Returns the images that have our tags, disabled ones included.
pub(super) async fn list(
    wire: &Wire,
    of: Option<&ApplicationName>,
) -> Result<Vec<Image>, CloudError> {
    let tag = Origin::application_tag();
    let query = owned();
    let query = match of {
        Some(name) => query.filter(1, &format!("tag:{tag}"), name.as_str()),
        None => query.filter(1, "tag-key", &tag),
    };
    query.all(wire, "imagesSet", image).await
}

fn owned() -> Query {
    Query::new("DescribeImages").with("Owner.1", "self").with("IncludeDisabled", "true")
}

/// Reads an image. Returns `None` unless it is ours.
fn image(node: Node<'_, '_>) -> Option<Image> {
    image_of(node, Origin::of_tags(&tags(node))?)
}

/// Reads an image whose origin is known.
fn image_of(node: Node<'_, '_>, origin: Origin) -> Option<Image> {
    let state = match text(node, "imageState")?.as_str() {
        "available" => State::Available,
        "disabled" => State::Disabled,
        "pending" | "transient" => State::Pending,
        _ => State::Failed,
    };
    let mut volumes = Vec::new();
    if let Some(set) = node.children().find(|it| it.tag_name().name() == "blockDeviceMapping") {
        for item in set.children().filter(Node::is_element) {
            let ebs = item.children().find(|it| it.tag_name().name() == "ebs");
            volumes.extend(ebs.and_then(|ebs| text(ebs, "snapshotId")));
        }
    }
    Some(Image {
        id: text(node, "imageId")?,
        name: text(node, "name").unwrap_or_default(),
        state,
        deprecated_at: text(node, "deprecationTime").filter(|it| !it.is_empty()),
        volumes,
        origin,
    })
}

/// Registers an image, or returns the one that has the origin already.
///
/// # Errors
/// Fails if the service refuses.
pub(super) async fn register(wire: &Wire, spec: &ImageSpec<'_>) -> Result<Image, CloudError> {
    for name in [name(&spec.origin, false), name(&spec.origin, true)] {
        let outcome = request(spec, &name).send(wire, |root| text(root, "imageId")).await;
        let id = match outcome {
            Ok(Some(id)) => id,
            Ok(None) => {
                let call = "RegisterImage".to_owned();
                return Err(CloudError::Answer { call, why: "it names no image".to_owned() });
            }
            Err(CloudError::Refused { name: error, .. }) if error == "InvalidAMIName.Duplicate" => {
                // Ours, if the answer to an earlier request was lost; else the next name is free.
                let images = owned().filter(1, "name", &name).all(wire, "imagesSet", image).await?;
                match images.into_iter().find(|it| it.origin == spec.origin) {
                    Some(image) => return Ok(image),
                    None => continue,
                }
            }
            Err(error) => return Err(error),
        };
        return ready(wire, &id, &spec.origin).await;
    }
    Err(CloudError::NoSuch {
        what: format!("two other images have the names for machine `{}`", spec.machine.name),
        remedy: "rename or deregister them: `aws ec2 describe-images --owners self`".to_owned(),
    })
}

/// Waits until an image is usable. It is known by its id: a service may show its tags later.
async fn ready(wire: &Wire, id: &str, origin: &Origin) -> Result<Image, CloudError> {
    let query = Query::new("DescribeImages").about(id).with("ImageId.1", id);
    let begun = Instant::now();
    loop {
        let found = match query.one(wire, origin).await {
            Ok(found) => found,
            // A new image may not be shown yet.
            Err(CloudError::Refused { name, .. }) if name == "InvalidAMIID.NotFound" => None,
            Err(error) => return Err(error),
        };
        match found {
            Some(image) if image.state == State::Available => return Ok(image),
            Some(image) if image.state == State::Failed => {
                let why = "its state is failed".to_owned();
                return Err(CloudError::Failed { object: id.to_owned(), why });
            }
            _ if begun.elapsed() > READY_TIME_MAX => {
                let secs = READY_TIME_MAX.as_secs();
                return Err(CloudError::NotReady { object: id.to_owned(), secs });
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl Query {
    async fn one(&self, wire: &Wire, origin: &Origin) -> Result<Option<Image>, CloudError> {
        self.send(wire, |root| {
            let set = root.children().find(|it| it.tag_name().name() == "imagesSet")?;
            set.children().filter(Node::is_element).find_map(|it| image_of(it, origin.clone()))
        })
        .await
    }
}

/// Changes an image.
///
/// # Errors
/// Fails if the service refuses.
pub(super) async fn change(wire: &Wire, id: &str, change: &Change) -> Result<(), CloudError> {
    let query = match change {
        Change::Share(account) => Query::new("ModifyImageAttribute")
            .with("Attribute", "launchPermission")
            .with("LaunchPermission.Add.1.UserId", account),
        Change::Unshare(account) => Query::new("ModifyImageAttribute")
            .with("Attribute", "launchPermission")
            .with("LaunchPermission.Remove.1.UserId", account),
        Change::Deprecate(at) => Query::new("EnableImageDeprecation").with("DeprecateAt", at),
        Change::Undeprecate => Query::new("DisableImageDeprecation"),
        Change::Disable => Query::new("DisableImage"),
        Change::Enable => Query::new("EnableImage"),
    };
    query.about(id).with("ImageId", id).send(wire, |_| ()).await
}

/// Deregisters an image. Succeeds if there is none.
///
/// # Errors
/// Fails if the service refuses: the image may be protected.
pub(super) async fn remove(wire: &Wire, id: &str) -> Result<(), CloudError> {
    let query = Query::new("DeregisterImage").about(id).with("ImageId", id);
    match query.send(wire, |_| ()).await {
        Err(CloudError::Refused { name, .. })
            if ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"].contains(&name.as_str()) =>
        {
            Ok(())
        }
        done => done,
    }
}

/// Returns the instances that use images, each as image and instance.
///
/// # Errors
/// Fails if the service refuses.
pub(super) async fn users(
    wire: &Wire,
    ids: &[String],
) -> Result<Vec<(String, String)>, CloudError> {
    let mut users = Vec::new();
    for ids in ids.chunks(FILTER_VALUES_MAX) {
        let mut query = Query::new("DescribeInstances").with("Filter.1.Name", "image-id");
        for (n, id) in (1..).zip(ids) {
            query = query.with(format!("Filter.1.Value.{n}"), id);
        }
        let read = |reservation: Node<'_, '_>| {
            let mut nodes = reservation.children();
            let set = nodes.find(|it| it.tag_name().name() == "instancesSet")?;
            let pair = |it: Node<'_, '_>| Some((text(it, "imageId")?, text(it, "instanceId")?));
            let items = set.children().filter(Node::is_element);
            Some(items.filter_map(pair).collect::<Vec<_>>())
        };
        users.extend(query.all(wire, "reservationSet", read).await?.into_iter().flatten());
    }
    Ok(users)
}

fn request(spec: &ImageSpec<'_>, name: &str) -> Query {
    let Origin { application, version, machine, release, .. } = &spec.origin;
    let description = format!("{application}:{version}/{machine} {release}");
    let (architecture, firmware) = (spec.machine.architecture, spec.machine.firmware);
    let mut query = Query::new("RegisterImage")
        .about(&format!("{application}:{version}/{machine}"))
        .with("Name", name)
        .with("Description", description.chars().take(255).collect::<String>())
        // Left out, it is i386.
        .with(
            "Architecture",
            match architecture {
                Architecture::Aarch64 => "arm64",
                Architecture::I686 => "i386",
                _ => "x86_64",
            },
        )
        // Left out, it is paravirtual.
        .with("VirtualizationType", "hvm")
        .with("EnaSupport", "true")
        .with("ImdsSupport", "v2.0")
        .with(
            "BootMode",
            match firmware {
                Firmware::Bios => "legacy-bios",
                Firmware::Uefi | Firmware::UefiSecure => "uefi",
            },
        )
        .with("RootDeviceName", ROOT);
    if firmware == Firmware::UefiSecure {
        query = query.with("TpmSupport", "v2.0");
    }
    for (position, volume) in spec.volumes.iter().enumerate() {
        let base = format!("BlockDeviceMapping.{}", position + 1);
        query = query
            .with(format!("{base}.DeviceName"), device(position))
            .with(format!("{base}.Ebs.SnapshotId"), &volume.id)
            .with(format!("{base}.Ebs.VolumeType"), "gp3")
            .with(format!("{base}.Ebs.DeleteOnTermination"), "true");
    }
    let mut tags = spec.origin.tags();
    tags.insert("Name".to_owned(), format!("{application} {version} {machine}"));
    query.tags(1, "image", &tags)
}

/// Returns the device of a disk by its position.
fn device(position: usize) -> String {
    match position.checked_sub(1) {
        None => ROOT.to_owned(),
        Some(at) => match LETTERS.chars().nth(at) {
            Some(letter) => format!("/dev/sd{letter}"),
            None => {
                let letter = u8::try_from(at - LETTERS.len()).unwrap_or(25).min(25);
                format!("/dev/xvdb{}", char::from(b'a' + letter))
            }
        },
    }
}

/// Returns the name of an image: what EC2 does not permit in names becomes `_`.
fn name(origin: &Origin, is_distinct: bool) -> String {
    let full = format!("{} {}-{}", origin.application, origin.version, origin.machine);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    let name: String = full.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
    let is_exact = name == full && name.len() <= NAME_LEN_MAX;
    if is_exact && !is_distinct {
        return name;
    }
    // Two names may become one: the digits of the release tell them apart.
    let digits = origin.release.rsplit(':').next().unwrap_or_default();
    let digits: String = digits.chars().take(DIGITS).collect();
    let end = format!(" ({digits})");
    let start: String = name.chars().take(NAME_LEN_MAX - end.len()).collect();
    format!("{start}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(application: &str, version: &str) -> Origin {
        Origin {
            application: application.to_owned(),
            version: version.to_owned(),
            machine: "web".to_owned(),
            release: "blake3:0123456789abcdef".to_owned(),
            ..Origin::default()
        }
    }

    #[test]
    fn names_are_those_that_ec2_permits_and_stay_distinct() {
        assert_eq!(name(&origin("team/shop", "1.2.0"), false), "team/shop 1.2.0-web");
        let built = name(&origin("shop", "1.2.0+7"), false);
        assert_eq!(built, "shop 1.2.0_7-web (0123456789ab)");
        let long = name(&origin(&"a".repeat(200), "1"), false);
        assert!(long.len() == NAME_LEN_MAX && long.ends_with("(0123456789ab)"), "{long}");
        assert_ne!(name(&origin("shop", "1"), true), name(&origin("shop", "1"), false));
    }

    #[test]
    fn every_disk_has_a_device_of_its_own() {
        let devices: std::collections::BTreeSet<_> = (0..DISKS_MAX).map(device).collect();
        assert_eq!(devices.len(), DISKS_MAX);
        assert_eq!((device(0).as_str(), device(1).as_str()), ("/dev/sda1", "/dev/sdf"));
        assert_eq!((device(11).as_str(), device(12).as_str()), ("/dev/sdp", "/dev/xvdba"));
    }
}

//! The images of EC2.

use std::collections::BTreeMap;
use std::time::Instant;

use super::ACCOUNT;
use super::answer::{Answer, Outcome, Refusal, element, moment, tag_set};
use super::query::{Parameters, by_tag, unknown_filter};
use super::snapshots::{MADE_AT_SECS, remove};
use super::state::{Account, Image, Stage};

/// Returns an image that uses a snapshot.
pub(super) fn user_of(account: &Account, snapshot: &str) -> Option<String> {
    let uses = |image: &&Image| image.mappings.iter().any(|(_, it, _)| it == snapshot);
    account.images.values().find(uses).map(|image| image.id.clone())
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::query("InvalidParameterValue", message)
}

fn one<'a>(call: &Parameters, account: &'a mut Account) -> Result<&'a mut Image, Refusal> {
    let id = call.need("ImageId")?;
    let missing = || Refusal::query("InvalidAMIID.NotFound", format!("no image '{id}'"));
    account.images.get_mut(id).ok_or_else(missing)
}

fn check_name(name: &str, region: &str, account: &Account) -> Result<(), Refusal> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(is_allowed) {
        return Err(Refusal::query("InvalidAMIName.Malformed", format!("the name '{name}'")));
    }
    let has = |it: &&Image| it.region == region && it.parameters["Name"] == name;
    match account.images.values().find(has) {
        Some(it) => {
            let message = format!("AMI name {name} is already in use by AMI {}", it.id);
            Err(Refusal::query("InvalidAMIName.Duplicate", message))
        }
        None => Ok(()),
    }
}

fn mappings(
    call: &Parameters,
    region: &str,
    account: &Account,
) -> Result<Vec<(String, String, u64)>, Refusal> {
    let mut mappings: Vec<(String, String, u64)> = Vec::new();
    for n in 1.. {
        let base = format!("BlockDeviceMapping.{n}");
        let Some(device) = call.get(&format!("{base}.DeviceName")) else { break };
        let ebs = |name: &str| call.get(&format!("{base}.Ebs.{name}"));
        let id = ebs("SnapshotId").ok_or_else(|| wrong("a mapping names a snapshot"))?;
        if ebs("Encrypted").is_some() {
            return Err(wrong("Encrypted may not be sent together with SnapshotId"));
        }
        let missing = || Refusal::query("InvalidSnapshot.NotFound", format!("no snapshot {id}"));
        let snapshot = account.snapshots.get(id).ok_or_else(missing)?;
        if snapshot.region != region || snapshot.owner != ACCOUNT {
            return Err(missing());
        }
        if snapshot.stage != Stage::Completed {
            let message = format!("snapshot {id} is {}", snapshot.stage.name());
            return Err(Refusal::query("IncorrectState", message));
        }
        let size = ebs("VolumeSize").map_or(Ok(snapshot.size_gib), str::parse);
        let size: u64 = size.map_err(|_| wrong("VolumeSize"))?;
        if size < snapshot.size_gib {
            return Err(wrong("VolumeSize is smaller than the snapshot"));
        }
        if !["gp2", "gp3", "io1", "io2", "standard"].contains(&ebs("VolumeType").unwrap_or("gp2")) {
            return Err(wrong("VolumeType"));
        }
        let is_device = device.starts_with("/dev/sd") || device.starts_with("/dev/xvd");
        if !is_device || mappings.iter().any(|(it, ..)| it == device) {
            return Err(wrong(format!("the device {device}")));
        }
        mappings.push((device.to_owned(), id.to_owned(), size));
    }
    Ok(mappings)
}

pub(super) fn register(call: &Parameters, region: &str, account: &mut Account) -> Outcome {
    check_name(call.need("Name")?, region, account)?;
    let mut parameters = call.all().clone();
    // A forgotten parameter is visible, as it is in an instance that does not start.
    let defaults = [("Architecture", "i386"), ("VirtualizationType", "paravirtual")];
    for (name, value) in defaults {
        parameters.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    let allowed = [
        ("Architecture", &["i386", "x86_64", "arm64"][..]),
        ("VirtualizationType", &["hvm", "paravirtual"]),
        ("BootMode", &["legacy-bios", "uefi", "uefi-preferred"]),
        ("TpmSupport", &["v2.0"]),
        ("ImdsSupport", &["v2.0"]),
        ("EnaSupport", &["true", "false"]),
    ];
    for (name, values) in allowed {
        if let Some(value) = parameters.get(name).filter(|it| !values.contains(&it.as_str())) {
            return Err(wrong(format!("{name} '{value}'")));
        }
    }
    if parameters.contains_key("TpmSupport") && parameters["BootMode"] != "uefi" {
        return Err(wrong("TpmSupport needs the boot mode uefi"));
    }
    if parameters["Architecture"] == "arm64" && call.get("BootMode") == Some("legacy-bios") {
        return Err(wrong("arm64 starts by UEFI only"));
    }
    if call.get("Description").unwrap_or_default().len() > 255 {
        return Err(wrong("Description has at most 255 characters"));
    }
    let mappings = mappings(call, region, account)?;
    let root = call.need("RootDeviceName")?;
    if !mappings.iter().any(|(device, ..)| device == root) {
        return Err(Refusal::query("InvalidBlockDeviceMapping", "the root is not mapped"));
    }
    let tags = call.tags(&["image"])?.remove(0);
    let id = insert(account, region, parameters, (tags, mappings));
    Ok(Answer::xml("RegisterImage", &format!("<imageId>{id}</imageId>")))
}

type Contents = (BTreeMap<String, String>, Vec<(String, String, u64)>);

fn insert(
    account: &mut Account,
    region: &str,
    parameters: BTreeMap<String, String>,
    (tags, mappings): Contents,
) -> String {
    let id = account.name("ami");
    let image = Image {
        id: id.clone(),
        region: region.to_owned(),
        parameters,
        tags,
        mappings,
        enabled: true,
        deprecated_at: None,
        shared_with: Default::default(),
        protected: false,
        created: Instant::now(),
    };
    account.images.insert(id.clone(), image);
    id
}

pub(super) fn describe(call: &Parameters, region: &str, account: &Account) -> Outcome {
    let ids = call.list("ImageId");
    let mut inner = String::from("<imagesSet>");
    let mut found = 0;
    for image in account.images.values().filter(|it| it.region == region) {
        let is_listed = ids.contains(&image.id.as_str())
            || (ids.is_empty() && image.created.elapsed() >= account.shown_after);
        let is_hidden = !image.enabled && call.get("IncludeDisabled") != Some("true");
        if !is_listed || is_hidden || !passes(call, image)? {
            continue;
        }
        found += 1;
        show(&mut inner, image);
    }
    if found < ids.len() {
        return Err(Refusal::query("InvalidAMIID.NotFound", "no such image"));
    }
    inner.push_str("</imagesSet>");
    Ok(Answer::xml("DescribeImages", &inner))
}

fn passes(call: &Parameters, image: &Image) -> Result<bool, Refusal> {
    for (name, values) in call.filters() {
        let state = if image.enabled { "available" } else { "disabled" };
        let passes = match by_tag(&image.tags, name, &values) {
            Some(passes) => passes,
            None => match name {
                "name" => values.contains(&image.parameters["Name"].as_str()),
                "state" => values.contains(&state),
                "block-device-mapping.snapshot-id" => {
                    image.mappings.iter().any(|(_, it, _)| values.contains(&it.as_str()))
                }
                _ => return Err(unknown_filter(name)),
            },
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn show(out: &mut String, image: &Image) {
    let parameter = |name: &str| image.parameters.get(name).map_or("", String::as_str);
    out.push_str("<item>");
    element(out, "imageId", &image.id);
    element(out, "imageState", if image.enabled { "available" } else { "disabled" });
    element(out, "imageOwnerId", ACCOUNT);
    element(out, "name", parameter("Name"));
    element(out, "description", parameter("Description"));
    element(out, "architecture", parameter("Architecture"));
    element(out, "virtualizationType", parameter("VirtualizationType"));
    element(out, "bootMode", parameter("BootMode"));
    element(out, "rootDeviceName", parameter("RootDeviceName"));
    element(out, "creationDate", &moment(MADE_AT_SECS));
    if let Some(at) = &image.deprecated_at {
        element(out, "deprecationTime", at);
    }
    out.push_str("<blockDeviceMapping>");
    for (device, snapshot, size) in &image.mappings {
        out.push_str("<item>");
        element(out, "deviceName", device);
        out.push_str("<ebs>");
        element(out, "snapshotId", snapshot);
        element(out, "volumeSize", &size.to_string());
        out.push_str("</ebs></item>");
    }
    out.push_str("</blockDeviceMapping>");
    tag_set(out, &image.tags);
    out.push_str("</item>");
}

pub(super) fn copy(call: &Parameters, region: &str, account: &mut Account) -> Outcome {
    check_name(call.need("Name")?, region, account).or_else(|refusal| {
        // The same token answers with the same copy.
        let token = call.get("ClientToken").unwrap_or_default();
        account.tokens.contains_key(token).then_some(()).ok_or(refusal)
    })?;
    let token = call.get("ClientToken").unwrap_or_default().to_owned();
    if token.len() > 128 {
        return Err(wrong("ClientToken has at most 128 characters"));
    }
    if let Some((_, id)) = account.tokens.get(&token).filter(|_| !token.is_empty()) {
        return Ok(Answer::xml("CopyImage", &format!("<imageId>{id}</imageId>")));
    }
    let source = call.need("SourceImageId")?;
    let from = call.need("SourceRegion")?;
    let missing = || Refusal::query("InvalidAMIID.NotFound", format!("no image '{source}'"));
    let found = account.images.get(source).filter(|it| it.region == from && it.enabled);
    let image = found.ok_or_else(missing)?.clone();
    let mut tags = call.tags(&["image", "snapshot"])?;
    let (of_snapshots, mut of_image) = (tags.remove(1), tags.remove(0));
    if call.get("CopyImageTags") == Some("true") {
        of_image = image.tags.clone().into_iter().chain(of_image).collect();
    }
    let mut mappings = Vec::new();
    for (device, snapshot, size) in &image.mappings {
        let bytes = account.indexes(snapshot);
        let mut copy = account.snapshots[snapshot].clone();
        for index in bytes {
            let block = account.block(snapshot, index).cloned();
            copy.blocks.extend(block.map(|block| (index, block)));
        }
        copy.id = account.name("snap");
        copy.region = region.to_owned();
        copy.parent = None;
        copy.tags = of_snapshots.clone();
        copy.description = format!("Copied for DestinationAmi from SourceAmi {source}");
        mappings.push((device.clone(), copy.id.clone(), *size));
        account.snapshots.insert(copy.id.clone(), copy);
    }
    let mut parameters = image.parameters.clone();
    parameters.insert("Name".into(), call.need("Name")?.to_owned());
    let id = insert(account, region, parameters, (of_image, mappings));
    if !token.is_empty() {
        account.tokens.insert(token, (String::new(), id.clone()));
    }
    Ok(Answer::xml("CopyImage", &format!("<imageId>{id}</imageId>")))
}

pub(super) fn deregister(call: &Parameters, account: &mut Account) -> Outcome {
    let image = one(call, account)?;
    if image.protected {
        let message = "The AMI is protected from deregistration";
        return Err(Refusal::query("OperationNotPermitted", message));
    }
    let (id, mappings) = (image.id.clone(), image.mappings.clone());
    account.images.remove(&id);
    let mut inner = String::from("<return>true</return>");
    if call.get("DeleteAssociatedSnapshots") == Some("true") {
        inner.push_str("<deleteSnapshotResultSet>");
        for (_, snapshot, _) in mappings {
            let code = if user_of(account, &snapshot).is_some() { "skipped" } else { "success" };
            if code == "success" {
                remove(account, &snapshot);
            }
            inner.push_str("<item>");
            element(&mut inner, "snapshotId", &snapshot);
            element(&mut inner, "returnCode", code);
            inner.push_str("</item>");
        }
        inner.push_str("</deleteSnapshotResultSet>");
    }
    Ok(Answer::xml("DeregisterImage", &inner))
}

pub(super) fn share(call: &Parameters, account: &mut Account) -> Outcome {
    let image = one(call, account)?;
    if !image.enabled {
        return Err(Refusal::query("InvalidAMIID.Unavailable", "the image is disabled"));
    }
    let add = call.get("LaunchPermission.Add.1.UserId").map(str::to_owned);
    let end = call.get("LaunchPermission.Remove.1.UserId").map(str::to_owned);
    let is_account = |it: &String| it.len() == 12 && it.chars().all(|c| c.is_ascii_digit());
    if add.is_none() == end.is_none() || !add.iter().chain(&end).all(is_account) {
        return Err(Refusal::query("InvalidAMIAttributeItemValue", "name one account"));
    }
    image.shared_with.extend(add);
    if let Some(end) = end {
        image.shared_with.remove(&end);
    }
    Ok(Answer::xml("ModifyImageAttribute", "<return>true</return>"))
}

pub(super) fn deprecate(call: &Parameters, account: &mut Account) -> Outcome {
    let at = call.need("DeprecateAt")?.to_owned();
    let secs = seawall_api::moment::parse(&at).ok_or_else(|| wrong("DeprecateAt"))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    if secs + 60 < now.as_secs() {
        return Err(wrong("DeprecateAt is in the past"));
    }
    one(call, account)?.deprecated_at = Some(at);
    Ok(Answer::xml("EnableImageDeprecation", "<return>true</return>"))
}

pub(super) fn undeprecate(call: &Parameters, account: &mut Account) -> Outcome {
    one(call, account)?.deprecated_at = None;
    Ok(Answer::xml("DisableImageDeprecation", "<return>true</return>"))
}

pub(super) fn enable(call: &Parameters, account: &mut Account, enabled: bool) -> Outcome {
    let image = one(call, account)?;
    image.enabled = enabled;
    if !enabled {
        image.shared_with.clear();
    }
    let name = if enabled { "EnableImage" } else { "DisableImage" };
    Ok(Answer::xml(name, "<return>true</return>"))
}

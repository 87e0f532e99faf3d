//! Identifiers that hosts need and releases lack, derived from names so that they are stable.

use seawall_api::names::{ApplicationName, MachineName, NetworkName};

/// A hypervisor vendor, as the owner of a prefix of MAC addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Vendor {
    /// QEMU and libvirt.
    Qemu,
    Xen,
    HyperV,
    Proxmox,
}

impl Vendor {
    fn prefix(self) -> [u8; 3] {
        match self {
            Self::Qemu => [0x52, 0x54, 0x00],
            Self::Xen => [0x00, 0x16, 0x3e],
            Self::HyperV => [0x00, 0x15, 0x5d],
            Self::Proxmox => [0xbc, 0x24, 0x11],
        }
    }
}

fn hash(what: &str, parts: &[&str]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("seawall host descriptors 1");
    for part in [&[what], parts].concat() {
        // Names contain no NUL, so different lists of names give different bytes.
        hasher.update(part.as_bytes()).update(&[0]);
    }
    *hasher.finalize().as_bytes()
}

fn uuid(hash: [u8; 32]) -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|i| hash[i]);
    // Version 8 (custom) and the variant of RFC 9562.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a machine's UUID.
pub(super) fn machine_uuid(application: &ApplicationName, machine: &MachineName) -> String {
    uuid(hash("machine", &[application.as_str(), machine.as_str()]))
}

/// Returns a network's UUID.
pub(super) fn network_uuid(application: &ApplicationName, network: &NetworkName) -> String {
    uuid(hash("network", &[application.as_str(), network.as_str()]))
}

/// Returns the MAC address of a machine's network card at `slot`, such as `52:54:00:…`.
pub(super) fn mac(
    vendor: Vendor,
    application: &ApplicationName,
    machine: &MachineName,
    slot: usize,
) -> String {
    let slot = slot.to_string();
    let hash = hash("card", &[application.as_str(), machine.as_str(), &slot]);
    let [a, b, c] = vendor.prefix();
    [a, b, c, hash[0], hash[1], hash[2]].map(|byte| format!("{byte:02x}")).join(":")
}

/// Returns the name of a network's bridge on a host. Linux allows 15 bytes.
pub(super) fn bridge(application: &ApplicationName, network: &NetworkName) -> String {
    let hash = hash("bridge", &[application.as_str(), network.as_str()]);
    format!("sw{}", hex(&hash[..5]))
}

/// Returns the first three octets of a network's subnet, used if the host connects it by NAT.
pub(super) fn subnet(application: &ApplicationName, network: &NetworkName) -> String {
    let hash = hash("subnet", &[application.as_str(), network.as_str()]);
    // In 10.128.0.0/9: most sites and the defaults of other software use addresses below it.
    format!("10.{}.{}", 128 + hash[0] % 128, hash[1])
}

/// Returns a network's multicast group and port, in the organisation-local scope (RFC 2365).
pub(super) fn multicast(application: &ApplicationName, network: &NetworkName) -> String {
    let hash = hash("multicast", &[application.as_str(), network.as_str()]);
    let port = 20_000 + u16::from_be_bytes([hash[3], hash[4]]) % 10_000;
    format!("239.{}.{}.{}:{port}", 192 + hash[0] % 4, hash[1], hash[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_forms_and_differ_by_what_they_name() {
        let (app, other): (ApplicationName, _) = ("a/b".parse().unwrap(), "a".parse().unwrap());
        let web: MachineName = "web".parse().unwrap();
        let uuid = machine_uuid(&app, &web);
        assert_eq!(uuid.len(), 36);
        assert_eq!((&uuid[14..15], uuid.matches('-').count()), ("8", 4));
        assert_ne!(uuid, machine_uuid(&other, &web));
        let card = mac(Vendor::Qemu, &app, &web, 0);
        assert!(card.starts_with("52:54:00:") && card.len() == 17, "{card}");
        assert_ne!(card, mac(Vendor::Qemu, &app, &web, 1));
        let net = "backend".parse().unwrap();
        assert!(bridge(&app, &net).len() <= 15);
        assert_ne!(bridge(&app, &net), bridge(&other, &net));
        assert!(multicast(&app, &net).starts_with("239.19"));
    }
}

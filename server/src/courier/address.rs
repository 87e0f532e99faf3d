//! The permitted destinations of outgoing messages.
//!
//! A webhook makes the registry send requests to an address of its owner's choice. On a network,
//! this can exceed the owner's permissions: behind the registry there are services that trust every
//! client in reach (a cloud's metadata at 169.254.169.254, an unprotected database). A registry
//! with tokens has users other than its operator. It sends to public addresses only, unless the
//! operator permits otherwise. A registry without tokens is used from its own machine only, by
//! users who can reach the same addresses directly.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// The permitted addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All addresses.
    Everywhere,
    /// Globally routed addresses.
    PublicOnly,
}

impl Reach {
    /// Returns true if the address is permitted.
    #[must_use]
    pub fn permits(self, address: IpAddr) -> bool {
        match self {
            Self::Everywhere => true,
            Self::PublicOnly => is_public(address),
        }
    }

    /// Returns true if the host of a URL is permitted, as far as the URL shows. A name is resolved
    /// and checked on sending.
    #[must_use]
    pub fn permits_host_of(self, url: &Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.permits(address.into()),
            Some(Host::Ipv6(address)) => self.permits(address.into()),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }
}

/// Returns true if an address is globally routed (IANA's special-purpose registries, 2026).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_for_protocols = a == 192 && b == 0 && c == 0;
    let is_relay = a == 192 && b == 88 && c == 99;
    let is_for_benchmarks = a == 198 && (18..20).contains(&b);
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224;
    !(is_special || is_shared || is_for_protocols || is_relay || is_for_benchmarks)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, ..] = address.segments();
    // Assigned addresses are in 2000::/3. Translation and tunnels to IPv4 may lead anywhere.
    let is_given_out = a & 0xe000 == 0x2000;
    let is_documentation = (a == 0x2001 && b == 0x0db8) || (a == 0x3fff && b < 0x1000);
    let is_for_protocols = a == 0x2001 && b < 0x0200;
    let is_6to4 = a == 0x2002;
    let is_translated = a == 0x0064 && b == 0xff9b && c <= 1;
    is_given_out && !(is_documentation || is_for_protocols || is_6to4 || is_translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_routes_is_public() {
        let public = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"];
        for address in public {
            assert!(Reach::PublicOnly.permits(address.parse().unwrap()), "{address}");
        }
        let others = [
            "127.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "64:ff9b::a00:1",
        ];
        for address in others {
            assert!(!Reach::PublicOnly.permits(address.parse().unwrap()), "{address}");
            assert!(Reach::Everywhere.permits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        let local = ["http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[::1]:80/"];
        for url in local {
            assert!(!Reach::PublicOnly.permits_host_of(&url.parse().unwrap()), "{url}");
        }
        assert!(Reach::PublicOnly.permits_host_of(&"https://hooks.example/".parse().unwrap()));
    }
}

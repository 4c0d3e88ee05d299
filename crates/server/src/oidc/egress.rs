//! Where the server itself may send a request to: nowhere that only a server on its place could
//! reach by accident. Names are resolved here, and what was judged is what is connected to.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Metadata services that are not link-local.
const METADATA_4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_6: [Ipv6Addr; 1] = [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)];

/// Resolves names to addresses that may be reached.
pub struct Guarded {
    /// Whether this machine itself may be reached.
    pub loopback: bool,
}

/// Whether an address may be reached.
pub fn may_reach(address: IpAddr, loopback: bool) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return loopback;
    }
    match address {
        IpAddr::V4(a) => {
            let this_network = a.octets().first() == Some(&0);
            !(this_network || a.is_link_local() || a.is_broadcast() || a.is_multicast() || METADATA_4.contains(&a))
        }
        IpAddr::V6(a) => {
            let [first, ..] = a.segments();
            // Forms that carry an IPv4 address inside would slip past the rules above.
            let carries_v4 = first == 0x2002 || first == 0x0064 || (first == 0 && a.segments().get(..6) == Some(&[0; 6]));
            !(a.is_unspecified() || a.is_unicast_link_local() || a.is_multicast() || carries_v4 || METADATA_6.contains(&a))
        }
    }
}

/// Whether a URL may be called, as far as can be told before its name is resolved.
pub fn may_call(url: &Url, loopback: bool) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(a)) => a.is_loopback(),
        Some(Host::Ipv6(a)) => a.is_loopback(),
        None => return false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    let address = match url.host() {
        Some(Host::Ipv4(a)) => may_reach(a.into(), loopback),
        Some(Host::Ipv6(a)) => may_reach(a.into(), loopback),
        _ => true,
    };
    scheme && address && url.username().is_empty() && url.password().is_none()
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|a| may_reach(a.ip(), loopback))
                .collect();
            if found.is_empty() {
                return Err("no address that may be reached".into());
            }
            let all: Addrs = Box::new(found.into_iter());
            Ok(all)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn addresses_that_only_a_server_could_reach_are_refused() {
        for bad in [
            "169.254.169.254", "100.100.100.200", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "fe80::1",
            "ff02::1", "::", "fd00:ec2::254", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe",
            "::a9fe:a9fe",
        ] {
            assert!(!may_reach(bad.parse().unwrap(), true), "{bad}");
        }
        for good in ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd12::1"] {
            assert!(may_reach(good.parse().unwrap(), false), "{good}");
        }
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(may_reach(local.parse().unwrap(), true) && !may_reach(local.parse().unwrap(), false), "{local}");
        }
    }

    #[test]
    fn urls_are_https_or_loopback_and_carry_no_user() {
        let may = |u: &str, l| may_call(&Url::parse(u).unwrap(), l);
        assert!(may("https://till.example/out", false));
        assert!(may("http://localhost:1/out", true) && may("http://127.0.0.1:1/out", true));
        for bad in ["http://till.example/", "https://a@till.example/", "https://169.254.169.254/", "ftp://x/", "https://[fe80::1]/"] {
            assert!(!may(bad, true), "{bad}");
        }
        assert!(!may("https://127.0.0.1/", false));
    }
}

//! How well it is shown that a person and a terminal are in one place; `unproven` is the default.

use countersign_wire::statement::Near;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The presence class, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Nothing shows it.
    Unproven,
    /// Both requests came from one network, or the terminal read a badge; or a terminal is at its site, and nothing shows the device there.
    Weak,
    /// A registered terminal at its site, and a device beside it.
    Medium,
    /// An attested terminal at its site, and a device beside it.
    Strong,
}

impl Presence {
    /// Name in policies and tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Presence::Unproven => "unproven",
            Presence::Weak => "weak",
            Presence::Medium => "medium",
            Presence::Strong => "strong",
        }
    }
    /// The class of this name.
    pub fn parse(text: &str) -> Option<Presence> {
        [Presence::Unproven, Presence::Weak, Presence::Medium, Presence::Strong].into_iter().find(|p| p.as_str() == text)
    }
    /// The class of all pieces of evidence together. A terminal that stands where it should shows only where the terminal is: its
    /// live code can be filmed and sent on. So its place counts for what it is worth where something shows the approving device there, too.
    pub fn of(near: &[Near]) -> Presence {
        match (beside(near), near.contains(&Near::AttestedSite), near.contains(&Near::Site)) {
            (true, true, _) => Presence::Strong,
            (true, _, true) => Presence::Medium,
            (false, false, false) => Presence::Unproven,
            _ => Presence::Weak,
        }
    }
}

/// Whether anything shows that the approving device is where the screen is.
pub fn beside(near: &[Near]) -> bool {
    near.iter().any(|n| matches!(n, Near::SameNetwork | Near::Badge))
}

/// A block of addresses, `203.0.113.0/24` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl std::str::FromStr for Network {
    type Err = countersign_wire::Malformed;
    fn from_str(text: &str) -> Result<Network, Self::Err> {
        let wrong = countersign_wire::Malformed("a network as address/bits");
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = if bits.is_empty() { most } else { bits.parse().map_err(|_| wrong)? };
        if bits > most { Err(wrong) } else { Ok(Network { address, bits }) }
    }
}

impl Network {
    /// Whether `address` lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.bits);
                shift == 32 || u32::from(a) >> shift == u32::from(b) >> shift
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let shift = 128 - u32::from(self.bits);
                shift == 128 || u128::from(a) >> shift == u128::from(b) >> shift
            }
            _ => false,
        }
    }
}

/// The part of an address that two devices behind one router share: the whole IPv4 address, the
/// first 64 bits of IPv6.
pub fn source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => {
            let [a, b, c, d, ..] = a.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The network of an address, as far as a change of it is news: so many leading bits. This machine is one network,
/// by whichever of its addresses it calls itself.
pub fn network(address: IpAddr, v4: u8, v6: u8) -> String {
    let own = address.to_canonical();
    match if own.is_loopback() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { own } {
        IpAddr::V4(a) => {
            let bits = v4.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            format!("{}/{bits}", Ipv4Addr::from(u32::from(a) & mask))
        }
        IpAddr::V6(a) => {
            let bits = v6.min(128);
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            format!("{}/{bits}", Ipv6Addr::from(u128::from(a) & mask))
        }
    }
}

/// Evidence from two addresses: one source, or (`one_site`) both in the networks of the terminal's site. None where either lies in a
/// network shared by strangers (carrier NAT, VPN) that the operator listed.
pub fn near(terminal: IpAddr, device: IpAddr, one_site: bool, shared: &[Network]) -> Vec<Near> {
    let listed = |a: IpAddr| shared.iter().any(|n| n.contains(a));
    if (one_site || source(terminal) == source(device)) && !listed(terminal) && !listed(device) {
        vec![Near::SameNetwork]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_so_many_leading_bits() {
        let n = |a: &str, v4, v6| network(a.parse().unwrap(), v4, v6);
        assert_eq!(n("192.0.2.77", 24, 48), "192.0.2.0/24");
        assert_eq!(n("192.0.2.77", 32, 48), "192.0.2.77/32");
        assert_eq!(n("192.0.2.77", 0, 48), "0.0.0.0/0");
        assert_eq!(n("::ffff:192.0.2.77", 24, 48), "192.0.2.0/24");
        assert_eq!(n("2001:db8:1:2::3", 24, 48), "2001:db8:1::/48");
        assert_eq!(n("2001:db8:1:2::3", 24, 0), "::/0");
        assert_eq!(n("::1", 24, 48), n("127.0.0.1", 24, 48));
        assert_eq!(n("127.9.9.9", 32, 48), n("127.0.0.1", 32, 48));
    }

    #[test]
    fn a_place_counts_where_the_device_is_there_too() {
        use Near::{AttestedSite, Badge, SameNetwork, Site};
        for (near, class, beside_it) in [
            (&[][..], Presence::Unproven, false),
            (&[Site], Presence::Weak, false),
            (&[AttestedSite], Presence::Weak, false),
            (&[SameNetwork], Presence::Weak, true),
            (&[Badge], Presence::Weak, true),
            (&[SameNetwork, Site], Presence::Medium, true),
            (&[Site, Badge], Presence::Medium, true),
            (&[AttestedSite, Badge], Presence::Strong, true),
            (&[SameNetwork, AttestedSite], Presence::Strong, true),
        ] {
            assert_eq!((Presence::of(near), beside(near)), (class, beside_it), "{near:?}");
        }
    }

    #[test]
    fn one_address_or_one_64_is_near_unless_listed() {
        let n = |a: &str, b: &str, l: &[Network]| Presence::of(&near(a.parse().unwrap(), b.parse().unwrap(), false, l));
        assert_eq!(n("192.0.2.1", "192.0.2.1", &[]), Presence::Weak);
        assert_eq!(n("192.0.2.1", "192.0.2.2", &[]), Presence::Unproven);
        assert_eq!(n("2001:db8::1", "2001:db8::ffff", &[]), Presence::Weak);
        assert_eq!(n("2001:db8::1", "2001:db8:0:1::1", &[]), Presence::Unproven);
        assert_eq!(n("192.0.2.1", "::ffff:192.0.2.1", &[]), Presence::Weak);
        let carrier: Network = "192.0.0.0/16".parse().unwrap();
        let there = |l| near("192.0.2.1".parse().unwrap(), "10.1.1.1".parse().unwrap(), true, l);
        assert_eq!((there(&[]).len(), there(&[carrier]).len()), (1, 0), "at one site");
        assert_eq!(n("192.0.2.1", "192.0.2.1", &[carrier]), Presence::Unproven);
        assert!("1.2.3.4/33".parse::<Network>().is_err());
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("9.9.9.9".parse().unwrap()));
    }
}

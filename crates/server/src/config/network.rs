//! Where requests come from, as far as a change of it is news: `[network]`.

use super::networks;
use countersign_trust::presence::{self, Network};
use serde::Deserialize;
use std::net::IpAddr;

/// How networks are told apart, and whose change is news.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Whereabouts {
    /// A session's screen in another network than before is news.
    pub sessions: bool,
    /// An enrolled device in another network than before is news.
    pub devices: bool,
    /// Leading bits of an IPv4 address that name its network.
    pub prefix_v4: u8,
    /// The same of IPv6.
    pub prefix_v6: u8,
    /// Networks that are known by a name, by a country, or both. The first that an address lies in counts.
    pub places: Vec<Place>,
}

/// Some networks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// With a name all of them are one network: an office with several ways out.
    #[serde(default)]
    pub name: Option<String>,
    /// Country (ISO 3166-1, two letters).
    #[serde(default)]
    pub country: Option<String>,
    /// Which they are.
    #[serde(deserialize_with = "networks")]
    pub networks: Vec<Network>,
}

impl Default for Whereabouts {
    fn default() -> Whereabouts {
        Whereabouts { sessions: true, devices: true, prefix_v4: 24, prefix_v6: 48, places: Vec::new() }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its network.
    pub network: String,
    /// Its country, where that is known.
    pub country: Option<String>,
}

impl Whereabouts {
    /// Where `address` is.
    pub fn origin(&self, address: IpAddr) -> Origin {
        let place = self.places.iter().find(|p| p.networks.iter().any(|n| n.contains(address)));
        let named = place.and_then(|p| p.name.clone());
        Origin {
            network: named.unwrap_or_else(|| presence::network(address, self.prefix_v4, self.prefix_v6)),
            country: place.and_then(|p| p.country.clone()),
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        if self.prefix_v4 > 32 || self.prefix_v6 > 128 {
            return Err("network: prefix_v4 up to 32, prefix_v6 up to 128".to_owned());
        }
        for place in &self.places {
            if place.networks.is_empty() || place.name.is_none() && place.country.is_none() {
                return Err("network.places: networks, and a name or a country".to_owned());
            }
            let two = |c: &String| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase());
            if !place.country.iter().all(two) {
                return Err("network.places: a country is two capital letters".to_owned());
            }
            // A name must never pass for the network of an address.
            if place.name.as_ref().is_some_and(|n| n.is_empty() || n.len() > 80 || n.contains('/')) {
                return Err("network.places: a name of 1 to 80 bytes without a slash".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Whereabouts, String> {
        let network: Whereabouts = toml::from_str(text).map_err(|e| e.to_string())?;
        network.validate().map(|()| network)
    }

    #[test]
    fn a_named_place_is_one_network_and_one_without_a_name_is_only_a_country() {
        let network = read(
            "[[places]]\nname = \"Office\"\ncountry = \"DE\"\nnetworks = [\"192.0.2.0/25\", \"2001:db8::/32\"]\n\
             [[places]]\ncountry = \"FR\"\nnetworks = [\"198.51.0.0/16\"]",
        )
        .unwrap();
        let at = |text: &str| {
            let origin = network.origin(text.parse().unwrap());
            (origin.network, origin.country.unwrap_or_default())
        };
        assert_eq!(at("192.0.2.9"), ("Office".into(), "DE".into()));
        assert_eq!(at("2001:db8:7::1"), ("Office".into(), "DE".into()));
        assert_eq!(at("192.0.2.200"), ("192.0.2.0/24".into(), String::new()));
        assert_eq!(at("198.51.100.1"), ("198.51.100.0/24".into(), "FR".into()));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "prefix_v4 = 33",
            "prefix_v6 = 129",
            "[[places]]\nnetworks = [\"192.0.2.0/24\"]",
            "[[places]]\nname = \"a\"\nnetworks = []",
            "[[places]]\nname = \"10.0.0.0/24\"\nnetworks = [\"192.0.2.0/24\"]",
            "[[places]]\ncountry = \"de\"\nnetworks = [\"192.0.2.0/24\"]",
            "[[places]]\ncountry = \"Germany\"\nnetworks = [\"192.0.2.0/24\"]",
            "unknown = 1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read("").unwrap().sessions);
    }
}

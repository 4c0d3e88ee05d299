//! Registered terminals: screens that hold an enrolled key of their own. Nobody's device: whoever stands
//! before one is somebody else each time.

use crate::device::DeviceState;
use crate::presence::Network;
use crate::signal::Signal;
use countersign_wire::jose::Jwk;
use countersign_wire::statement::{Near, Plate};
use countersign_wire::{TerminalId, Thumbprint, Time};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the operator says of a terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalFacts {
    /// Its name; no other terminal that lives has it.
    pub name: String,
    /// Where it stands, in words.
    pub place: String,
    /// `till`, `kiosk`, …: a class of the configuration.
    pub class: String,
    /// The site whose networks it must be in, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Its key, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Jwk>,
    /// Whether that key is kept by a TPM, by the TPM's own word.
    #[serde(default)]
    pub attested: bool,
    /// News about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Signal>,
}

/// A terminal with the version of its row. Its life is that of a device.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Its id.
    pub id: TerminalId,
    /// Row version.
    pub version: i64,
    /// Pending until its link was used.
    pub state: DeviceState,
    /// Thumbprint of its key.
    pub jkt: Option<Thumbprint>,
    /// How often it has opened; moves without the version.
    pub counter: i64,
    /// When last; moves without the version.
    pub opened_at: Option<Time>,
    /// When it was invited.
    pub added_at: Time,
    /// Until when its link works.
    pub until: Time,
    /// What is said of it.
    pub facts: TerminalFacts,
}

/// Whether a terminal is where it belongs, by the network it speaks from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stands {
    /// No site was named for it.
    Anywhere,
    /// In one of its site's networks.
    AtSite,
    /// In none of them.
    Away,
}

/// A terminal as something that was opened there remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtTerminal {
    /// Which.
    pub id: TerminalId,
    /// What it showed.
    pub plate: Plate,
    /// Whether it was where it belongs when that was opened.
    pub stands: Stands,
    /// Whether people can type on it.
    pub keyboard: bool,
    /// The address that it spoke from last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
}

/// What a counter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It went on.
    On,
    /// It did not, but a word may have overtaken another.
    Overtaken,
    /// It is behind for longer than any word is under way: the key exists twice, or an old copy of it is used.
    Behind,
}

/// Longest that a word is under way: its nonce lives a minute.
const UNDER_WAY_MS: i64 = 60_000;

impl Terminal {
    /// Whether it may act.
    pub fn is_active(&self) -> bool {
        self.state == DeviceState::Active
    }
    /// Whether it is a phone that a shift shares: no screen, so it opens nothing.
    pub fn is_phone(&self) -> bool {
        self.facts.class == crate::seat::CLASS
    }
    /// What it shows.
    pub fn plate(&self) -> Plate {
        let f = &self.facts;
        Plate { name: f.name.clone(), place: f.place.clone(), class: f.class.clone(), attested: f.attested }
    }
    /// Whether its link still works.
    pub fn is_open(&self, now: Time) -> bool {
        self.state == DeviceState::Pending && now < self.until
    }
    /// Judges the counter of an opening.
    pub fn counts(&self, counter: i64, now: Time) -> Count {
        match self.opened_at {
            _ if counter > self.counter => Count::On,
            Some(at) if now.ms_since(at) > UNDER_WAY_MS => Count::Behind,
            _ => Count::Overtaken,
        }
    }
}

impl Stands {
    /// Where a terminal of a site is that speaks from `address`. A site without networks, or one that nobody
    /// knows any more, has it nowhere.
    pub fn of(site: Option<&str>, networks: &[Network], address: IpAddr) -> Stands {
        match site {
            None => Stands::Anywhere,
            Some(_) if networks.iter().any(|n| n.contains(address)) => Stands::AtSite,
            Some(_) => Stands::Away,
        }
    }
}

impl AtTerminal {
    /// What its place shows about the person who stands before it.
    pub fn near(&self) -> Option<Near> {
        match self.stands {
            Stands::AtSite if self.plate.attested => Some(Near::AttestedSite),
            Stands::AtSite => Some(Near::Site),
            Stands::Anywhere | Stands::Away => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(counter: i64, opened_at: Option<Time>) -> Terminal {
        let facts = TerminalFacts { name: "Till 4".into(), place: "Market Street".into(), class: "till".into(), site: None, key: None, attested: false, signals: Vec::new() };
        let at = Time(1_000_000_000);
        Terminal { id: TerminalId::new(at, [1; 10]), version: 1, state: DeviceState::Active, jkt: None, counter, opened_at, added_at: at, until: at, facts }
    }

    #[test]
    fn a_counter_goes_on_and_one_that_stays_behind_is_a_copy() {
        let now = Time(10_000_000_000);
        let t = terminal(7, Some(now.plus_ms(-30_000)));
        assert_eq!((t.counts(8, now), t.counts(100, now)), (Count::On, Count::On));
        assert_eq!((t.counts(7, now), t.counts(6, now)), (Count::Overtaken, Count::Overtaken));
        assert_eq!(t.counts(7, now.plus_ms(30_001)), Count::Behind);
        assert_eq!(terminal(0, None).counts(0, now), Count::Overtaken);
    }

    #[test]
    fn a_terminal_belongs_where_its_site_is() {
        let nets = ["192.0.2.0/24".parse().unwrap()];
        let at = |site, a: &str| Stands::of(site, &nets, a.parse().unwrap());
        assert_eq!(at(None, "198.51.100.1"), Stands::Anywhere);
        assert_eq!(at(Some("shop"), "192.0.2.9"), Stands::AtSite);
        assert_eq!(at(Some("shop"), "198.51.100.1"), Stands::Away);
        assert_eq!(Stands::of(Some("gone"), &[], "192.0.2.9".parse().unwrap()), Stands::Away);
    }
}

//! Registered terminals as the operator speaks of them: classes, and sites with their networks.

use crate::app::people::is_login;
use countersign_trust::client::Client;
use countersign_trust::presence::Network;
use countersign_trust::seat;
use countersign_trust::terminal::Stands;
use countersign_wire::limits::GLASS_HOLDERS;
use countersign_wire::{ClientId, jcs};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// See [`super::Config::terminals`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// Classes beside the usual ones, or instead of them.
    #[serde(default)]
    pub classes: BTreeMap<String, Class>,
    /// Networks of each site.
    #[serde(default)]
    pub sites: BTreeMap<String, Site>,
}

/// A class of terminals.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Whether people can type on it.
    #[serde(default = "yes")]
    pub keyboard: bool,
    /// What its idle screen signs people in to.
    #[serde(default)]
    pub kiosk: Option<Kiosk>,
}

/// See [`Class::kiosk`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kiosk {
    /// The client.
    pub client: ClientId,
    /// Scopes that are asked for.
    pub scopes: Vec<String>,
    /// Where its pages begin.
    pub start: String,
}

/// A site.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its networks.
    #[serde(deserialize_with = "super::networks")]
    pub networks: Vec<Network>,
    /// Login names of those who may open rights at its terminals while the line is down, two at a time.
    #[serde(default)]
    pub keyholders: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Places {
    /// A class, if there is one of that name.
    pub fn class(&self, name: &str) -> Option<Class> {
        let usual = |keyboard| Some(Class { keyboard, kiosk: None });
        self.classes.get(name).cloned().or_else(|| match name {
            "till" | "workstation" | "console" => usual(true),
            "kiosk" | seat::CLASS => usual(false),
            _ => None,
        })
    }
    /// Whether an idle screen signs people in to this client.
    pub fn idle_for(&self, client: &ClientId) -> bool {
        self.classes.values().filter_map(|class| class.kiosk.as_ref()).any(|k| k.client == *client)
    }
    /// Whether a terminal of this site is where it belongs.
    pub fn stands(&self, site: Option<&str>, address: IpAddr) -> Stands {
        let networks = site.and_then(|s| self.sites.get(s)).map_or(&[][..], |s| &s.networks);
        Stands::of(site, networks, address)
    }

    pub(super) fn validate(&self, clients: &[Client]) -> Result<(), String> {
        let word = |w: &str| (1..=32).contains(&w.len()) && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if let Some(name) = self.classes.keys().chain(self.sites.keys()).find(|n| !word(n)) {
            return Err(format!("terminals: `{name}` is not a word of a-z 0-9 -"));
        }
        for (name, site) in &self.sites {
            let sound = site.keyholders.iter().all(|login| is_login(login)) && site.keyholders.len() <= GLASS_HOLDERS;
            if !sound || site.keyholders.len() == 1 || site.keyholders.iter().collect::<BTreeSet<_>>().len() != site.keyholders.len() {
                return Err(format!("terminals.sites.{name}.keyholders: login names of two people or more, each once, {GLASS_HOLDERS} at most"));
            }
        }
        if self.classes.contains_key(seat::CLASS) {
            return Err(format!("terminals.classes.{}: phones that a shift shares are described by nothing but their name", seat::CLASS));
        }
        for (name, class) in &self.classes {
            let Some(kiosk) = &class.kiosk else { continue };
            let Some(client) = clients.iter().find(|c| c.id == kiosk.client) else {
                return Err(format!("terminals.classes.{name}.kiosk: no client `{}` is listed", kiosk.client));
            };
            if let Some(scope) = kiosk.scopes.iter().find(|s| !client.may_ask(s) || client.is_privileged(s) || !jcs::is_plain(s)) {
                return Err(format!("terminals.classes.{name}.kiosk: `{scope}` is privileged, or not the client's"));
            }
            let origin = |u: &str| url::Url::parse(u).ok().map(|u| u.origin());
            let start = origin(&kiosk.start);
            if start.is_none() || !client.redirect_uris.iter().any(|u| origin(u) == start) {
                return Err(format!("terminals.classes.{name}.kiosk: `start` is no page of the client"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use countersign_trust::terminal::Stands;

    const TILL: &str = "[[clients]]\nid = \"till\"\nname = \"Till\"\nredirect_uris = [\"https://till.example/cb\"]\nscopes = [\"profile\", \"refund\"]\nprivileged_scopes = [\"refund\"]\n";

    fn parse(more: &str) -> Result<Config, super::super::ConfigFault> {
        Config::parse(&format!("{TILL}{more}"), std::iter::empty())
    }

    #[test]
    fn classes_and_sites_are_read_and_what_cannot_be_is_refused() {
        let c = parse("[terminals.sites.market]\nnetworks = [\"192.0.2.0/24\"]\n").unwrap().terminals;
        assert_eq!(c.stands(Some("market"), "192.0.2.7".parse().unwrap()), Stands::AtSite);
        assert_eq!(c.stands(Some("market"), "198.51.100.7".parse().unwrap()), Stands::Away);
        assert_eq!(c.stands(Some("gone"), "192.0.2.7".parse().unwrap()), Stands::Away);
        assert!(c.class("till").unwrap().keyboard && !c.class("kiosk").unwrap().keyboard && c.class("fridge").is_none());
        let kiosk = |client: &str, scope: &str, start: &str| {
            parse(&format!("[terminals.classes.till.kiosk]\nclient = \"{client}\"\nscopes = [\"{scope}\"]\nstart = \"{start}\"\n")).is_ok()
        };
        assert!(kiosk("till", "profile", "https://till.example/"));
        assert!(!kiosk("other", "profile", "https://till.example/"), "a client that is not listed");
        assert!(!kiosk("till", "refund", "https://till.example/"), "a privileged scope needs its own approval");
        assert!(!kiosk("till", "profile", "https://elsewhere.example/"), "another origin");
        let keyholders = |list: &str| parse(&format!("[terminals.sites.market]\nnetworks = []\nkeyholders = {list}\n"));
        assert_eq!(keyholders("[\"lea\", \"ana\"]").unwrap().terminals.sites["market"].keyholders, ["lea", "ana"]);
        for bad in ["[\"lea\"]", "[\"lea\", \"lea\"]", "[\"lea\", \"A na\"]"] {
            assert!(keyholders(bad).is_err(), "{bad}");
        }
        assert!(parse("[terminals.classes.Till]\n").is_err());
        assert!(parse("[terminals.sites.market]\nnetworks = [\"x\"]\n").is_err());
    }
}

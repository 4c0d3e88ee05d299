//! Countersign's own session: tethered to the terminal's key and to the device that approved it.

use crate::acr::Earned;
use crate::ceremony::collect::Collector;
use crate::client::Client;
use crate::limits::NETWORKS;
use crate::right::Right;
use crate::signal::Signal;
use crate::standing::Standing;
use crate::terminal::AtTerminal;
use countersign_wire::jose::Jwk;
use countersign_wire::{
    CeremonyId, ClientId, CredentialId, DeviceId, PersonId, SessionId, Thumbprint, Time, TxnId,
};
use serde::{Deserialize, Serialize};

/// A session with the version of its row.
#[derive(Clone, Debug)]
pub struct Session {
    /// Row version.
    pub version: i64,
    /// Whether it was ended, and why.
    pub ended: Option<String>,
    /// Its facts.
    pub facts: SessionFacts,
    /// Without activity it ends then.
    pub idle_until: Time,
    /// News about it.
    pub signals: Vec<Signal>,
    /// Why it does not simply go on, if it does not.
    pub standing: Option<Standing>,
}

/// What is fixed when a session begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// Session id.
    pub id: SessionId,
    /// Transaction of the log.
    pub txn: TxnId,
    /// Whose it is.
    pub person: PersonId,
    /// The device that approved it, or whose passkey was used.
    pub device: DeviceId,
    /// The passkey that was used.
    pub credential: CredentialId,
    /// The ceremony, if there was one.
    pub ceremony: Option<CeremonyId>,
    /// The clients it serves: from an unknown terminal only the one that was approved.
    pub clients: Vec<ClientId>,
    /// Thumbprint of the terminal key.
    pub jkt: Thumbprint,
    /// base64url H of the session cookie.
    pub cookie_hash: String,
    /// Granted scopes, but for those given just in time: these stand among its rights alone.
    pub scopes: Vec<String>,
    /// What was earned.
    pub earned: Earned,
    /// Whether hardware attested the passkey.
    pub attested: bool,
    /// When the person approved.
    pub auth_time: Time,
    /// Begun at.
    pub opened_at: Time,
    /// Ends at the latest.
    pub until: Time,
    /// Life without activity, seconds.
    pub idle_s: i64,
    /// Agent family of the screen, as it calls itself.
    pub agent: String,
    /// What the ceremony showed, for the `cs` claim.
    pub shown: serde_json::Value,
    /// The client that collected it at the token endpoint; `None` where it stands on a screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<Collector>,
    /// Rights that were given just in time, those that are over among them until the next one is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<Right>,
    /// Networks that its terminal was in when its person approved, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Country it was in when its person approved last, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The key in hardware that its browser bound it to (Device Bound Session Credentials), once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Jwk>,
    /// The registered terminal it runs at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<AtTerminal>,
    /// Who vouched for the person; device and passkey are theirs then, and nothing of the person's own was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<PersonId>,
}

impl SessionFacts {
    /// The right to a scope that lives now, if the scope is given just in time to a client of this session.
    pub fn right(&self, client: &ClientId, scope: &str, now: Time) -> Option<&Right> {
        self.rights.iter().find(|r| r.client == *client && r.scope == scope && r.is_live(now))
    }
    /// The same session with one more right, without those that are over.
    pub fn with_rights(mut self, given: impl IntoIterator<Item = Right>, now: Time) -> SessionFacts {
        for one in given {
            self.rights.retain(|r| r.is_live(now) && !(r.client == one.client && r.scope == one.scope));
            self.rights.push(one);
        }
        self
    }
    /// Scopes that count now, for a client: the session's own, and those given just in time while they are.
    pub fn scopes_at(&self, client: Option<&Client>, now: Time) -> Vec<String> {
        let own = self.scopes.iter().filter(|s| client.is_none_or(|c| c.offers(s).is_none()));
        let given = self.rights.iter().filter(|r| r.is_live(now) && client.is_none_or(|c| c.id == r.client)).map(|r| &r.scope);
        let given = given.filter(|s| !self.scopes.contains(s) || client.is_some_and(|c| c.offers(s).is_some()));
        own.chain(given).cloned().collect()
    }
    /// Whether a request from this network is no news.
    pub fn knows(&self, network: &str) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|n| n == network)
    }
}

/// `known` and `more`, each once; the oldest fall out beyond [`NETWORKS`].
fn with_networks(known: &[String], more: &[String]) -> Vec<String> {
    let mut all: Vec<String> = known.iter().filter(|n| !more.contains(n)).chain(more).cloned().collect();
    all.drain(..all.len().saturating_sub(NETWORKS));
    all
}

impl Session {
    /// A session that begins with these facts, as its row will be.
    pub fn begun(facts: SessionFacts) -> Session {
        let idle_until = facts.opened_at.plus_s(facts.idle_s).min(facts.until);
        Session { version: 1, ended: None, facts, idle_until, signals: Vec::new(), standing: None }
    }
    /// The same session after its person approved or signed anew: what was earned, when, by which
    /// device and passkey and what was shown are `new`'s, and its cookie; key, clients and both ends stay.
    /// Its browser may bind it anew.
    pub fn raised(&self, new: SessionFacts, now: Time) -> SessionFacts {
        let old = &self.facts;
        let mut scopes = old.scopes.clone();
        scopes.extend(new.scopes.iter().filter(|s| !old.scopes.contains(s)).cloned());
        let rights = old.clone().with_rights(new.rights.clone(), now).rights;
        SessionFacts {
            scopes,
            rights,
            id: old.id.clone(),
            clients: old.clients.clone(),
            opened_at: old.opened_at,
            until: old.until,
            idle_s: old.idle_s,
            networks: with_networks(&old.networks, &new.networks),
            ..new
        }
    }
    /// Whether it lives at `now`.
    pub fn is_live(&self, now: Time) -> bool {
        self.ended.is_none() && now < self.facts.until && now < self.idle_until
    }
    /// The next idle deadline, never beyond the absolute one.
    pub fn next_idle(&self, now: Time) -> Time {
        now.plus_s(self.facts.idle_s).min(self.facts.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_known_once_and_the_oldest_are_forgotten() {
        let names = |of: std::ops::Range<usize>| -> Vec<String> { of.map(|n| n.to_string()).collect() };
        assert_eq!(with_networks(&names(0..3), &names(1..2)), ["0", "2", "1"]);
        let many = with_networks(&names(0..NETWORKS), &names(NETWORKS..NETWORKS + 2));
        assert_eq!(many, names(2..NETWORKS + 2));
    }
}

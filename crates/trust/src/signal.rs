//! News about a device, a person, a session or a registered terminal, from inside or outside. A signal is a fact that decisions
//! rest on until it is cleared or its time is over; raising or clearing one moves the version of the row
//! it is about, so whatever was decided before is decided anew.

use countersign_wire::{DeviceId, PersonId, SessionId, TerminalId, Time};
use serde::{Deserialize, Serialize};

/// What kind of thing a signal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A device.
    Device,
    /// A person.
    Person,
    /// A session of ours.
    Session,
    /// A registered terminal.
    Terminal,
}

macro_rules! kinds {
    ($(#[doc = $words:literal] $name:ident = $text:literal : $about:ident),+ $(,)?) => {
        /// What is said.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $(#[doc = $words] #[serde(rename = $text)] $name),+ }
        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),+];
            /// Its name in policies and in the log.
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$name => $text),+ }
            }
            /// The same in plain words.
            pub fn words(self) -> &'static str {
                match self { $(Kind::$name => $words.trim_ascii()),+ }
            }
            /// From its name.
            pub fn parse(text: &str) -> Option<Kind> {
                Kind::ALL.iter().copied().find(|k| k.as_str() == text)
            }
            /// What it can be about.
            pub fn about(self) -> About {
                match self { $(Kind::$name => About::$about),+ }
            }
        }
    };
}

kinds! {
    /// Malware, a removed protection, a stolen key.
    DeviceCompromised = "device.compromised": Device,
    /// It does not meet the rules of who manages it.
    DeviceNoncompliant = "device.noncompliant": Device,
    /// High risk, by the word of a detection system.
    DeviceRiskHigh = "device.risk_high": Device,
    /// Some risk.
    DeviceRiskMedium = "device.risk_medium": Device,
    /// It missed words that it had promised.
    DeviceSilent = "device.silent": Device,
    /// It has not spoken for so long that nothing may rest on it.
    DeviceGone = "device.gone": Device,
    /// Its counters say that it exists twice.
    DeviceCloned = "device.cloned": Device,
    /// It reports from another network than before.
    DeviceNetworkChanged = "device.network_changed": Device,
    /// High risk to the account.
    PersonRiskHigh = "person.risk_high": Person,
    /// Some risk.
    PersonRiskMedium = "person.risk_medium": Person,
    /// A credential elsewhere was changed, stolen or revoked.
    PersonCredentialChanged = "person.credential_changed": Person,
    /// Its assurance elsewhere went down.
    PersonAssuranceLowered = "person.assurance_lowered": Person,
    /// Requests come from another network than before.
    SessionNetworkChanged = "session.network_changed": Session,
    /// Requests come from another country than before.
    SessionPlaceChanged = "session.place_changed": Session,
    /// Far more requests than usual.
    SessionRateOdd = "session.rate_odd": Session,
    /// Its page missed words that it had promised.
    SessionSilent = "session.silent": Session,
    /// Its page has not spoken for so long that nobody is there.
    SessionGone = "session.gone": Session,
    /// Its cookie was shown with another key than its own, again and again.
    SessionKeyRefused = "session.key_refused": Session,
    /// Somebody else controls this screen from afar.
    SessionRemoteControlled = "session.remote_controlled": Session,
    /// Somebody else controls this terminal from afar, whoever stands before it.
    TerminalRemoteControlled = "terminal.remote_controlled": Terminal,
}

impl Kind {
    /// Whether it says that somebody far away has a screen in hand: what was given just in time there is over then,
    /// and does not come back when they leave.
    pub fn takes_rights(self) -> bool {
        matches!(self, Kind::SessionRemoteControlled | Kind::TerminalRemoteControlled)
    }
}

/// What a signal is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A device.
    Device(DeviceId),
    /// A person.
    Person(PersonId),
    /// A session of ours.
    Session(SessionId),
    /// A registered terminal.
    Terminal(TerminalId),
}

impl Subject {
    /// Whether a signal of this kind can be about it.
    pub fn fits(&self, kind: Kind) -> bool {
        let about = match self {
            Subject::Device(_) => About::Device,
            Subject::Person(_) => About::Person,
            Subject::Session(_) => About::Session,
            Subject::Terminal(_) => About::Terminal,
        };
        kind.about() == about
    }
}

/// One signal from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// What is said.
    pub kind: Kind,
    /// Who says so: `operator`, `observed`, `silence`, `terminal`, or the name of a configured source.
    pub source: String,
    /// Since when, by the server's clock.
    pub at: Time,
    /// It counts until then; absent until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Signals kept of one subject.
pub const SIGNALS: usize = 32;

impl Signal {
    /// Whether it counts at `now`.
    pub fn is_live(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// When the newest of those was raised that an approval since then answers: whoever was asked anew, and
/// approved, has dealt with it.
pub fn reconfirm<'a>(signals: impl Iterator<Item = &'a Signal>, now: Time) -> Option<Time> {
    let asks = |s: &&Signal| matches!(s.kind, Kind::DeviceNetworkChanged | Kind::PersonCredentialChanged);
    signals.filter(asks).filter(|s| s.is_live(now)).map(|s| s.at).max()
}

/// With one more; the same source's earlier word of the same kind goes, and so does whatever is over.
/// `None` where nothing changes. A full list gives up its oldest: never the news.
pub fn raised(known: &[Signal], new: Signal, now: Time) -> Option<Vec<Signal>> {
    let same = |s: &Signal| s.kind == new.kind && s.source == new.source;
    if known.iter().any(|s| same(s) && s.until == new.until && s.is_live(now)) {
        return None;
    }
    let mut next: Vec<Signal> = known.iter().filter(|s| !same(s) && s.is_live(now)).cloned().collect();
    next.push(new);
    if next.len() > SIGNALS {
        next.sort_by_key(|s| s.at);
        next.remove(0);
    }
    Some(next)
}

/// Without what `source` said of this kind; with no source, whoever said it. `None` where nothing changes.
pub fn cleared(known: &[Signal], kind: Kind, source: Option<&str>) -> Option<Vec<Signal>> {
    let goes = |s: &Signal| s.kind == kind && source.is_none_or(|by| s.source == by);
    known.iter().any(goes).then(|| known.iter().filter(|s| !goes(s)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(kind: Kind, source: &str, at: i64) -> Signal {
        Signal { kind, source: source.into(), at: Time(at), until: None }
    }

    #[test]
    fn every_kind_is_named_once_and_read_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(*kind));
            let about = format!("{:?}.", kind.about()).to_lowercase();
            assert!(kind.as_str().starts_with(&about), "{kind:?}");
            assert!(kind.words().ends_with('.') && !kind.words().starts_with(' '), "{kind:?}");
        }
    }

    #[test]
    fn one_source_takes_back_only_its_own_word() {
        let now = Time(10);
        let a = raised(&[], signal(Kind::DeviceCompromised, "edr", 1), now).unwrap();
        let b = raised(&a, signal(Kind::DeviceCompromised, "mdm", 2), now).unwrap();
        assert_eq!(raised(&b, signal(Kind::DeviceCompromised, "mdm", 3), now), None, "said before");
        let c = cleared(&b, Kind::DeviceCompromised, Some("mdm")).unwrap();
        assert_eq!(c, a);
        assert_eq!(cleared(&c, Kind::DeviceCompromised, Some("mdm")), None);
        assert_eq!(cleared(&b, Kind::DeviceCompromised, None).unwrap(), Vec::new());
    }

    #[test]
    fn the_newest_is_never_what_a_full_list_gives_up() {
        let mut known = Vec::new();
        for n in 0..100 {
            known = raised(&known, signal(Kind::DeviceSilent, &format!("s{n}"), n), Time(0)).unwrap();
        }
        assert_eq!(known.len(), SIGNALS);
        assert!(known.iter().any(|s| s.source == "s99"));
    }
}

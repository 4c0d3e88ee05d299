//! What is known about a device's health: facts with who said them, how well they were shown, and when.
//! What nobody said is unknown, and unknown is never taken for healthy.

use countersign_wire::Time;
use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What a fact is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Name { $($(#[$doc])* #[serde(rename = $text)] $name),+ }
        impl Name {
            /// Every name.
            pub const ALL: &'static [Name] = &[$(Name::$name),+];
            /// Its text.
            pub fn as_str(self) -> &'static str {
                match self { $(Name::$name => $text),+ }
            }
            /// From its text.
            pub fn parse(text: &str) -> Option<Name> {
                Name::ALL.iter().copied().find(|n| n.as_str() == text)
            }
        }
    };
}

names! {
    /// Operating system.
    Os = "os",
    /// Its version.
    OsVersion = "os_version",
    /// Kernel release.
    Kernel = "kernel",
    /// Whether the system's disk is encrypted.
    DiskEncrypted = "disk_encrypted",
    /// Whether the screen locks by itself.
    ScreenLock = "screen_lock",
    /// Whether only signed code starts the machine.
    SecureBoot = "secure_boot",
    /// Whether there is a TPM.
    Tpm = "tpm",
    /// Whether its protections were removed.
    Rooted = "rooted",
    /// Whether the security agent runs.
    AgentRunning = "agent_running",
    /// Version of the device program.
    Program = "program",
    /// Whether a management system is in charge of it; never by the device's own word.
    Managed = "managed",
    /// Whether it meets that system's rules; never by the device's own word.
    Compliant = "compliant",
}

impl Name {
    /// Whether a device's own word counts for it.
    pub fn is_own(self) -> bool {
        !matches!(self, Name::Managed | Name::Compliant)
    }
}

/// How well a fact was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The device says so.
    #[default]
    Claimed,
    /// A program measured it, or a system that manages the device says so.
    Measured,
    /// Hardware signed it.
    Attested,
}

impl Confidence {
    /// Its text.
    pub fn as_str(self) -> &'static str {
        match self {
            Confidence::Claimed => "claimed",
            Confidence::Measured => "measured",
            Confidence::Attested => "attested",
        }
    }
}

/// One fact from one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What about.
    pub name: Name,
    /// `yes`, `no`, or a text such as a version; at most [`VALUE_BYTES`].
    pub value: String,
    /// Who said so: `device`, a kind of evidence, or the name of a configured source.
    pub source: String,
    /// How well it was shown.
    pub confidence: Confidence,
    /// When it was learnt, by the server's clock.
    pub at: Time,
}

/// Longest value, bytes.
pub const VALUE_BYTES: usize = 128;
/// Facts kept of one device: every name from a handful of sources.
pub const FACTS: usize = 96;

/// An answer that may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Nobody said.
    #[default]
    Unknown,
}

impl Answer {
    /// Its text in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Answer::Yes => "yes",
            Answer::No => "no",
            Answer::Unknown => "unknown",
        }
    }
}

/// All that is known of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posture {
    /// One fact of each name and source.
    pub facts: Vec<Fact>,
    /// Number of the newest report by the device itself; a lower one is a replay.
    #[serde(default)]
    pub counter: i64,
    /// The device said that it speaks at least this often, seconds; only then its silence means anything.
    #[serde(default)]
    pub heartbeat_s: Option<i64>,
}

impl Posture {
    /// The fact that counts: best shown first, then the newest.
    pub fn fact(&self, name: Name) -> Option<&Fact> {
        self.facts.iter().filter(|f| f.name == name).max_by_key(|f| (f.confidence, f.at))
    }
    /// The answer to a yes-or-no fact.
    pub fn answer(&self, name: Name) -> Answer {
        match self.fact(name).map(|f| f.value.as_str()) {
            Some("yes") => Answer::Yes,
            Some("no") => Answer::No,
            _ => Answer::Unknown,
        }
    }
    /// The text of a fact, empty where unknown.
    pub fn text(&self, name: Name) -> &str {
        self.fact(name).map_or("", |f| &f.value)
    }
    /// With news, each of which takes the place of what the same source said before. `None` where no
    /// decision could come out differently: then only the time of the last word moves.
    pub fn learn(&self, news: &[Fact]) -> Option<Posture> {
        let mut next = self.clone();
        for fact in news {
            match next.facts.iter().position(|f| f.name == fact.name && f.source == fact.source) {
                Some(i) => next.facts.get_mut(i).into_iter().for_each(|known| *known = fact.clone()),
                None if next.facts.len() < FACTS => next.facts.push(fact.clone()),
                None => {}
            }
        }
        next.facts.sort_by(|a, b| (a.name, &a.source).cmp(&(b.name, &b.source)));
        let shape = |p: &Posture| -> Vec<_> {
            p.facts.iter().map(|f| (f.name, f.source.clone(), f.value.clone(), f.confidence)).collect()
        };
        (shape(self) != shape(&next)).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    fn fact(name: Name, value: &str, source: &str, confidence: Confidence, at: i64) -> Fact {
        Fact { name, value: value.into(), source: source.into(), confidence, at: Time(at) }
    }

    #[test]
    fn what_nobody_said_is_unknown() {
        for name in Name::ALL {
            assert_eq!(Posture::default().answer(*name), Answer::Unknown);
            assert_eq!(Name::parse(name.as_str()), Some(*name));
        }
    }

    #[test]
    fn what_is_shown_better_outranks_what_is_newer() {
        let attested = fact(Name::Rooted, "yes", "tpm", Confidence::Attested, 1);
        let claimed = fact(Name::Rooted, "no", "device", Confidence::Claimed, 9);
        let p = Posture::default().learn(&[attested, claimed]).unwrap();
        assert_eq!(p.answer(Name::Rooted), Answer::Yes);
    }

    #[test]
    fn the_same_words_again_change_nothing() {
        let said = fact(Name::Os, "linux", "device", Confidence::Measured, 1);
        let p = Posture::default().learn(std::slice::from_ref(&said)).unwrap();
        assert_eq!(p.learn(&[Fact { at: Time(5), ..said.clone() }]), None);
        let other = p.learn(&[Fact { value: "other".into(), ..said }]).unwrap();
        assert_eq!((other.facts.len(), other.text(Name::Os)), (1, "other"));
    }

    #[test]
    fn no_flood_of_sources_grows_it_without_end() {
        let mut p = Posture::default();
        for n in 0..500 {
            let news = fact(Name::Os, "linux", &format!("s{n}"), Confidence::Claimed, n);
            p = p.learn(&[news]).unwrap_or(p);
        }
        assert_eq!(p.facts.len(), FACTS);
    }
}

//! What is known about a device's health: facts with who said them, how well they were shown, and when.
//! What nobody said is unknown, and unknown is never taken for healthy.

use countersign_wire::Time;
use serde::{Deserialize, Serialize};

pub use countersign_wire::posture::{Confidence, Name, VALUE_BYTES};

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

/// What hardware signed counts for this long, seconds: a machine that runs longer than a day shows it again.
pub const EVIDENCE_S: i64 = 24 * 3600;
/// Facts kept of one device: every name from a handful of sources.
pub const FACTS: usize = 96;

/// An answer that may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// After the device reported: `own` is its whole word, `shown` what its hardware signed along with it.
    /// Evidence counts for [`EVIDENCE_S`], and not against the device's own bad news: nobody invents that.
    /// `None` as with [`Posture::learn`].
    pub fn reported(&self, own: &[Fact], shown: &[Fact], now: Time) -> Option<Posture> {
        let overtaken = |f: &Fact| own.iter().any(|o| o.name == f.name && o.name.bad_news() == Some(&o.value) && o.value != f.value);
        let holds = |f: &Fact| f.confidence != Confidence::Attested || (now < f.at.plus_s(EVIDENCE_S) && !overtaken(f));
        let mut kept = self.clone();
        kept.facts.retain(holds);
        let shown: Vec<Fact> = shown.iter().filter(|f| !overtaken(f)).cloned().collect();
        // Evidence that says the same again is kept from time to time, or it would seem to age.
        let ages = |f: &Fact| kept.facts.iter().any(|k| k.name == f.name && k.source == f.source && k.at.plus_s(EVIDENCE_S / 2) < f.at);
        let fell = kept.facts.len() < self.facts.len() || shown.iter().any(ages);
        let news: Vec<Fact> = own.iter().cloned().chain(shown).collect();
        match kept.learn(&news) {
            Some(next) => Some(next),
            None if fell => Some(kept.with(&news)),
            None => None,
        }
    }
    /// With news, each of which takes the place of what the same source said before. `None` where no
    /// decision could come out differently: then only the time of the last word moves.
    pub fn learn(&self, news: &[Fact]) -> Option<Posture> {
        let next = self.with(news);
        let shape = |p: &Posture| -> Vec<_> {
            p.facts.iter().map(|f| (f.name, f.source.clone(), f.value.clone(), f.confidence)).collect()
        };
        (shape(self) != shape(&next)).then_some(next)
    }

    fn with(&self, news: &[Fact]) -> Posture {
        let mut next = self.clone();
        for fact in news {
            match next.facts.iter().position(|f| f.name == fact.name && f.source == fact.source) {
                Some(i) => next.facts.get_mut(i).into_iter().for_each(|known| *known = fact.clone()),
                None if next.facts.len() < FACTS => next.facts.push(fact.clone()),
                None => {}
            }
        }
        next.facts.sort_by(|a, b| (a.name, &a.source).cmp(&(b.name, &b.source)));
        next
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn evidence_outranks_the_devices_word_but_not_its_bad_news_and_only_for_a_day() {
        let day = Time::from_seconds(EVIDENCE_S).0;
        let own = |value: &str, at: i64| vec![fact(Name::SecureBoot, value, "device", Confidence::Measured, at)];
        let shown = |at: i64| vec![fact(Name::SecureBoot, "yes", "tpm", Confidence::Attested, at)];
        let p = Posture::default().reported(&own("unknown", 1), &shown(1), Time(1)).unwrap();
        assert_eq!(p.answer(Name::SecureBoot), Answer::Yes, "unknown is no contradiction");
        assert_eq!(p.reported(&own("unknown", 2), &[], Time(2)), None, "evidence is not owed with every report");
        let bad = p.reported(&own("no", 3), &[], Time(3)).unwrap();
        assert_eq!(bad.answer(Name::SecureBoot), Answer::No);
        assert_eq!(p.reported(&own("no", 3), &shown(3), Time(3)).unwrap().answer(Name::SecureBoot), Answer::No, "both at once");
        let old = p.reported(&own("unknown", 2 + day), &[], Time(2 + day)).unwrap();
        assert_eq!(old.answer(Name::SecureBoot), Answer::Unknown, "evidence grew old");
        // Shown again in time it does not.
        assert_eq!(p.reported(&own("unknown", 5), &shown(5), Time(5)), None);
        let later = day / 2 + 1_000_002;
        let again = p.reported(&own("unknown", later), &shown(later), Time(later)).unwrap();
        assert!(again.reported(&own("unknown", 2 + day), &[], Time(2 + day)).is_none());
    }

    #[test]
    fn a_devices_word_is_whole() {
        let known = fact(Name::Tpm, "yes", "device", Confidence::Measured, 1);
        let p = Posture::default().reported(std::slice::from_ref(&known), &[], Time(1)).unwrap();
        let less = p.reported(&[Fact { value: "unknown".into(), ..known }], &[], Time(2)).unwrap();
        assert_eq!(less.answer(Name::Tpm), Answer::Unknown);
    }
}

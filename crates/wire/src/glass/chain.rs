//! Whether what a chain says was opened was opened as it had to be. One function for all three who ask.

use super::{Challenge, Closed, Grant, Holder, Why, answered, record};
use crate::jose::Keys;
use crate::limits::GLASS_ASK_S;
use crate::{CredentialId, DeviceId, PersonId, b64};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A chain of uses of one grant, as far as it was found good.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    grant: &'a Grant,
    number: i64,
    last: [u8; 32],
    /// No clock may show less than this: the grant was made, or the last use begun, then.
    since: i64,
    /// Counters of the passkeys that answered.
    counters: BTreeMap<CredentialId, u32>,
}

/// One of the two who opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opener {
    /// Who.
    pub person: PersonId,
    /// Their name, as the grant had it.
    pub name: String,
    /// Whether as a supervisor.
    pub supervisor: bool,
    /// By which phone.
    pub device: DeviceId,
    /// By which passkey.
    pub credential: CredentialId,
}

/// One use that two people opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which of the grant's uses, from 1.
    pub number: i64,
    /// What.
    pub scopes: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who works with it, where that was said.
    pub works: Option<PersonId>,
    /// Who opened it.
    pub by: [Opener; 2],
    /// From, by the terminal's clock, seconds.
    pub begin: i64,
    /// Until, seconds.
    pub end: i64,
    /// Names its record.
    pub digest: [u8; 32],
}

impl Opened {
    /// Whether it is open at `now_s`.
    pub fn is_open(&self, now_s: i64) -> bool {
        (self.begin..self.end).contains(&now_s)
    }
}

impl<'a> Chain<'a> {
    /// Of which nothing was used yet.
    pub fn new(grant: &'a Grant) -> Chain<'a> {
        let s = &grant.sealed;
        Chain { grant, number: 0, last: record::first(grant), since: s.from(), counters: BTreeMap::new() }
    }

    /// Number of uses so far.
    pub fn uses(&self) -> i64 {
        self.number
    }

    /// What the next challenge names as the record before it, base64url.
    pub fn last(&self) -> String {
        b64::encode(&self.last)
    }

    /// No clock may show less, seconds.
    pub fn since(&self) -> i64 {
        self.since
    }

    /// Whether a challenge is one for the next use, whoever answers it.
    pub fn asks(&self, challenge: &Challenge) -> Result<(), Why> {
        challenge.fits(&self.grant.sealed, &self.grant.digest)?;
        if challenge.number != self.number + 1 || challenge.prev != self.last() {
            return Err(Why::Order);
        }
        if challenge.at < self.since { Err(Why::Clock) } else { Ok(()) }
    }

    /// Judges the next record, and goes on if it is good: the grant's terminal signed it, it follows the one before, it
    /// opens no more than was granted, and two different people of the list answered this very challenge, each by a phone
    /// and a passkey of their own, one of them a supervisor and neither of them who works with it.
    pub fn take(&mut self, text: &str) -> Result<Opened, Why> {
        let (record, bytes, digest) = record::read(text, self.grant)?;
        let challenge = Challenge::parse(&bytes)?;
        self.asks(&challenge)?;
        let (s, c) = (&self.grant.sealed, &challenge);
        let in_time = (c.at..=c.at.saturating_add(GLASS_ASK_S)).contains(&record.begin) && record.begin < record.end && record.end <= s.exp;
        if !in_time {
            return Err(Why::Time);
        }
        if record.end.saturating_sub(record.begin) > c.for_s {
            return Err(Why::Minutes);
        }
        let asked = Challenge::digest(&bytes);
        let mut counters = self.counters.clone();
        let mut one = |answer: &super::Answer| -> Result<&'a Holder, Why> {
            let device = answer.device()?;
            let holder = self.grant.roster.iter().find(|h| h.device == device && h.credential.as_str() == answer.assertion.credential_id);
            let holder = holder.ok_or(Why::Stranger)?;
            let counter = counters.get(&holder.credential).copied().unwrap_or(holder.counter);
            let counter = answered(answer, s, &asked, holder, counter)?;
            counters.insert(holder.credential.clone(), counter);
            Ok(holder)
        };
        let [first, second] = &record.answers;
        // One phone that answers twice is told so, and not that its passkey's counter stands.
        if first.device()? == second.device()? {
            return Err(Why::SameDevice);
        }
        let pair = [one(first)?, one(second)?];
        two(pair, challenge.works.as_ref())?;
        self.counters = counters;
        (self.number, self.last, self.since) = (challenge.number, digest, record.begin);
        Ok(Opened {
            number: challenge.number,
            scopes: challenge.scopes,
            reason: challenge.reason,
            works: challenge.works,
            by: pair.map(Opener::of),
            begin: record.begin,
            end: record.end,
            digest,
        })
    }

    /// Judges the last word.
    pub fn end(&self, text: &str) -> Result<Closed, Why> {
        let closed = record::read_close(text, self.grant)?;
        let fits = closed.id == self.grant.sealed.id && closed.uses == self.number && closed.last == self.last();
        if fits { Ok(closed) } else { Err(Why::Close) }
    }
}

/// Whether two holders are two who may open together.
fn two(pair: [&Holder; 2], works: Option<&PersonId>) -> Result<(), Why> {
    let [a, b] = pair;
    for (holds, why) in [
        (a.person != b.person, Why::SamePerson),
        (a.device != b.device && a.dk != b.dk && a.credential != b.credential && a.passkey != b.passkey, Why::SameDevice),
        (a.supervisor || b.supervisor, Why::Supervisor),
        (works.is_none_or(|w| *w != a.person && *w != b.person), Why::Works),
    ] {
        if !holds {
            return Err(why);
        }
    }
    Ok(())
}

impl Opener {
    fn of(h: &Holder) -> Opener {
        Opener { person: h.person.clone(), name: h.name.clone(), supervisor: h.supervisor, device: h.device.clone(), credential: h.credential.clone() }
    }
}

/// All that a terminal has of one grant: what it shows to applications, and what it hands in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The grant, as the server signed it.
    pub grant: String,
    /// base64url of its list of people.
    pub roster: String,
    /// Records, in order, as the terminal signed them.
    pub records: Vec<String>,
    /// Its last word, once there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub close: Option<String>,
}

/// What a bundle is found to be.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The grant.
    pub grant: Grant,
    /// Uses that were opened as they had to be, in order, up to the first that was not.
    pub opened: Vec<Opened>,
    /// Why what follows them is not believed, or the last word is not.
    pub wrong: Option<Why>,
    /// Whether its terminal closed it, and rightly.
    pub is_closed: bool,
}

impl Bundle {
    /// Judges all of it by the server's keys. What is not this server's grant is refused whole.
    pub fn judge(&self, keys: &Keys) -> Result<Judged, Why> {
        let grant = Grant::open(&self.grant, &b64::decode(&self.roster)?, keys)?;
        let mut chain = Chain::new(&grant);
        let mut opened = Vec::new();
        let mut wrong = None;
        for record in &self.records {
            match chain.take(record) {
                Ok(use_of_it) => opened.push(use_of_it),
                Err(why) => {
                    wrong = Some(why);
                    break;
                }
            }
        }
        let closed = match &self.close {
            Some(text) if wrong.is_none() => chain.end(text).map(|_| true),
            _ => Ok(false),
        };
        wrong = wrong.or(closed.err());
        Ok(Judged { opened, is_closed: closed == Ok(true), wrong, grant })
    }
}

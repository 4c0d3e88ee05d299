//! What callers make the server write down. Each has a budget of lines for a minute: whoever has
//! shown to be somebody (an enrolled device, the screen that opened a ceremony, a session, a client)
//! one of its own, everybody else one for the network they come from. So nobody fills the log, and
//! nobody behind the same address as others can use up what is theirs.
//!
//! Beyond the budget nothing is written line by line; one line for the caller and the minute says
//! how much that was. Counts live in memory: a node that ends forgets a minute of them.

use super::{App, Context, Fault, observe};
use countersign_store::Commit;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::{Refusal, limits};
use countersign_wire::Time;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who a line is counted for: in which role, and which one.
pub type Caller = (&'static str, String);

/// The role of those who have shown nothing: a network.
pub const SOURCE: &str = "source";

/// What is counted, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A refusal in the log.
    Refusal,
    /// An authorization request that is kept.
    Request,
    /// A challenge for a passkey.
    Challenge,
    /// An approval by a person.
    Approval,
    /// A session's cookie with another key than its own.
    WrongKey,
}

/// How many lines, by what they would have said.
pub type Unwritten = BTreeMap<&'static str, i64>;

/// The counts of this node.
#[derive(Default)]
pub struct Noise(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    minute: i64,
    by: HashMap<(What, Caller), Count>,
    owed: BTreeMap<Caller, Unwritten>,
}

#[derive(Default)]
struct Count {
    written: i64,
    unwritten: Unwritten,
}

impl Noise {
    fn counts(&self, now: Time) -> MutexGuard<'_, Counts> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.seconds().div_euclid(60);
        if counts.minute != minute {
            counts.minute = minute;
            for ((_, caller), count) in std::mem::take(&mut counts.by) {
                if !count.unwritten.is_empty() {
                    // Beyond a bounded number of callers the rest is told as one.
                    let full = counts.owed.len() >= limits::NOISY_CALLERS && !counts.owed.contains_key(&caller);
                    let caller = if full { others() } else { caller };
                    let owed = counts.owed.entry(caller).or_default();
                    for (word, n) in count.unwritten {
                        *owed.entry(word).or_default() += n;
                    }
                }
            }
        }
        counts
    }

    /// Whether one more line may be written for a caller. If not, it is counted under `word`.
    pub fn admits(&self, what: What, caller: Caller, word: &'static str, now: Time) -> bool {
        let mut counts = self.counts(now);
        let limit = if caller.0 == SOURCE { limits::LINES_PER_SOURCE_MIN } else { limits::LINES_PER_CALLER_MIN };
        let full = counts.by.len() >= limits::CALLERS_MIN && !counts.by.contains_key(&(what, caller.clone()));
        if full && what != What::Refusal {
            // So many at once are no longer told apart; nobody shall be kept out by all the others.
            return true;
        }
        let count = counts.by.entry((what, if full { others() } else { caller })).or_default();
        if count.written < limit {
            count.written += 1;
            return true;
        }
        *count.unwritten.entry(word).or_default() += 1;
        false
    }

    /// Whether a caller did this more often in this minute than `limit`. Nothing is written of it.
    pub fn is_burst(&self, what: What, caller: Caller, limit: i64, now: Time) -> bool {
        let mut counts = self.counts(now);
        let key = (what, caller);
        if counts.by.len() >= limits::CALLERS_MIN && !counts.by.contains_key(&key) {
            return false;
        }
        let count = counts.by.entry(key).or_default();
        count.written += 1;
        count.written > limit
    }

    /// What was not written in minutes that are over, for each caller; told once.
    fn owed(&self, now: Time) -> BTreeMap<Caller, Unwritten> {
        std::mem::take(&mut self.counts(now).owed)
    }
}

fn others() -> Caller {
    ("others", String::new())
}

/// Refuses what a caller would have written down beyond the budget; counted under `word`.
pub fn admit(app: &App, ctx: &Context, what: What, word: &'static str) -> Result<(), Fault> {
    if app.noise.admits(what, ctx.caller(), word, ctx.now) {
        Ok(())
    } else {
        Err(Fault::because(Refusal::TooMany, "a caller's lines of this minute").recorded())
    }
}

/// Writes a refusal down, within the caller's budget. What the caller hears instead where that was
/// not done: `too_many` beyond the budget, `unavailable` where nothing can be written.
pub async fn record(app: &App, ctx: &Context, event: Event) -> Result<(), Refusal> {
    admit(app, ctx, What::Refusal, event.refusal.map_or("refusal", Refusal::code)).map_err(|fault| fault.refusal)?;
    app.commit(Commit::new(event)).await.map(|_| ()).map_err(|_| Refusal::Unavailable)
}

/// One line for each caller whose refusals of a minute were not all written.
pub async fn tell(app: &App) -> Result<(), Fault> {
    let now = app.now();
    for ((role, who), unwritten) in app.noise.owed(now) {
        observe::refused_without_end(app, role, &who, now).await?;
        let who = if role == SOURCE { app.source_tag(&who) } else { who };
        let mut event = app
            .event(Kind::StepRefused, &app.txn(now), now)
            .fact("of", role)
            .fact("who", who)
            .fact("unwritten", serde_json::to_value(unwritten).unwrap_or_default());
        event.refusal = Some(Refusal::TooMany);
        app.commit(Commit::new(event)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: usize) -> Caller {
        (SOURCE, n.to_string())
    }

    #[test]
    fn a_caller_has_so_many_lines_a_minute_and_no_say_in_those_of_others() {
        let (noise, now) = (Noise::default(), Time::from_seconds(600));
        for n in 0..limits::LINES_PER_SOURCE_MIN + 3 {
            assert_eq!(noise.admits(What::Refusal, source(1), "x", now), n < limits::LINES_PER_SOURCE_MIN);
        }
        assert!(noise.admits(What::Request, source(1), "x", now), "requests are counted for themselves");
        assert!(noise.admits(What::Refusal, source(2), "x", now));
        assert!(noise.admits(What::Refusal, ("device", "1".into()), "x", now));
        assert!(noise.owed(now).is_empty(), "the minute is not over");
        let next = now.plus_s(60);
        assert!(noise.admits(What::Refusal, source(1), "x", next));
        assert_eq!(noise.owed(next), BTreeMap::from([(source(1), BTreeMap::from([("x", 3)]))]));
        assert!(noise.owed(next).is_empty(), "told once");
    }

    #[test]
    fn a_burst_is_more_than_so_many_in_a_minute_by_one_caller() {
        let (noise, now) = (Noise::default(), Time::from_seconds(600));
        let burst = |who: usize, now| noise.is_burst(What::Approval, source(who), 3, now);
        assert_eq!((0..5).map(|_| burst(1, now)).collect::<Vec<_>>(), [false, false, false, true, true]);
        assert!(!burst(2, now));
        assert!(!burst(1, now.plus_s(60)));
        assert!(noise.owed(now.plus_s(120)).is_empty(), "nothing is told of it");
    }

    #[test]
    fn however_many_callers_there_are_the_lists_stay_bounded() {
        let (noise, now) = (Noise::default(), Time::from_seconds(600));
        for n in 0..limits::CALLERS_MIN + 2_000 {
            noise.admits(What::Refusal, source(n), "x", now);
        }
        assert!(noise.0.lock().unwrap().by.len() <= limits::CALLERS_MIN + 1);
        assert_eq!(noise.owed(now.plus_s(60)).get(&others()).unwrap()["x"], 2_000 - limits::LINES_PER_SOURCE_MIN);
    }
}

//! Whether what a token speaks for is still trusted: asked at the server, kept for a stated moment at most,
//! and never believed over an event that says it ended.

use crate::heard::Heard;
use crate::settings::Settings;
use crate::token::Visitor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_wire::{Time, mac};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An end is remembered for so long, seconds: longer than any access token lives.
const REMEMBER_S: i64 = 900;
/// Ends and answers that are remembered, at most, of each.
const REMEMBERED: usize = 100_000;

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Trust holds.
    Yes,
    /// It does not.
    No,
    /// It will, once the person has approved anew.
    StepUp {
        /// Classes, one of which is needed.
        acr: Vec<String>,
    },
    /// Nobody answered: closed.
    Nobody,
}

#[derive(Default)]
struct Memory {
    /// Since when nothing of a session, person or token counts that was made before, seconds.
    ended: HashMap<String, i64>,
    /// Tokens that were good at a moment.
    good: HashMap<[u8; 32], Time>,
    /// Everything was forgotten at this moment because there was too much of it: what is older is not let in.
    floor: i64,
}

pub(crate) struct Trust {
    fetch: reqwest::Client,
    url: String,
    authorization: String,
    keep_ms: i64,
    memory: Mutex<Memory>,
}

impl Trust {
    pub(crate) fn new(fetch: reqwest::Client, settings: &Settings) -> Trust {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&settings.client_id), encoded(&settings.client_secret));
        Trust {
            fetch,
            url: format!("{}/introspect", settings.issuer),
            authorization: format!("Basic {}", STANDARD.encode(pair)),
            keep_ms: i64::try_from(settings.keep_answers.as_millis()).unwrap_or(0),
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an event has ended what this visitor shows.
    pub(crate) fn is_over(&self, visitor: &Visitor, now: Time) -> bool {
        let memory = self.memory();
        let over = |name: String| memory.ended.get(&name).is_some_and(|since| visitor.made <= *since && now.seconds() - since < REMEMBER_S);
        visitor.made <= memory.floor
            || over(format!("sub/{}", visitor.subject))
            || visitor.session.as_ref().is_some_and(|s| over(format!("sid/{s}")))
    }

    /// Something ended: what was good of it is good no more.
    pub(crate) fn end(&self, heard: &Heard, now: Time) {
        let mut memory = self.memory();
        // What was kept may be of what ended; it is asked for again.
        memory.good.clear();
        if memory.ended.len() >= REMEMBERED {
            memory.ended.retain(|_, since| now.seconds() - *since < REMEMBER_S);
        }
        if memory.ended.len() >= REMEMBERED {
            memory.ended.clear();
            memory.floor = now.seconds();
        }
        if heard.everything {
            memory.floor = memory.floor.max(heard.at);
        }
        for name in heard.names() {
            let since = memory.ended.entry(name).or_insert(heard.at);
            *since = (*since).max(heard.at);
        }
    }

    /// Asks the server, unless it said so a moment ago (RFC 7662 §4: what is kept is bounded by `exp` as well,
    /// which was checked before).
    pub(crate) async fn holds(&self, text: &str, visitor: &Visitor, now: Time) -> Answer {
        let name = mac::h(text.as_bytes());
        if self.keep_ms > 0 && self.memory().good.get(&name).is_some_and(|at| (0..self.keep_ms).contains(&now.ms_since(*at))) {
            return Answer::Yes;
        }
        let answer = self.ask(text).await.unwrap_or(Answer::Nobody);
        // An end that was heard while the answer was under way counts.
        if answer == Answer::Yes && self.is_over(visitor, now) {
            return Answer::No;
        }
        if answer == Answer::Yes && self.keep_ms > 0 {
            let mut memory = self.memory();
            if memory.good.len() >= REMEMBERED {
                memory.good.clear();
            }
            memory.good.insert(name, now);
        }
        answer
    }

    async fn ask(&self, text: &str) -> Option<Answer> {
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("token", text).finish();
        let request = self
            .fetch
            .post(&self.url)
            .header("authorization", &self.authorization)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let told: Value = request.send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
        match told.get("active")?.as_bool()? {
            true => Some(Answer::Yes),
            false => Some(Answer::No),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(session: &str, made: i64) -> Visitor {
        Visitor {
            subject: "p".into(), client: "c".into(), scopes: vec![], acr: None, auth_time: None, session: Some(session.into()), jkt: None, made,
            claims: serde_json::Map::new(),
        }
    }
    fn trust() -> Trust {
        let settings = Settings::new("https://id.example", "a", "https://a.example", "c", "s");
        Trust::new(settings.client().unwrap(), &settings)
    }

    #[test]
    fn an_end_reaches_what_was_made_before_it_and_nothing_else() {
        let (trust, now) = (trust(), Time::from_seconds(1_000));
        trust.end(&Heard { session: Some("s".into()), subject: None, everything: false, at: 1_000 }, now);
        assert!(trust.is_over(&visitor("s", 990), now));
        assert!(!trust.is_over(&visitor("s", 1_001), now), "made after it");
        assert!(!trust.is_over(&visitor("t", 990), now));
        trust.end(&Heard { session: None, subject: Some("p".into()), everything: false, at: 1_000 }, now);
        assert!(trust.is_over(&visitor("t", 990), now));
    }

    #[test]
    fn however_much_ends_the_memory_is_bounded_and_forgets_to_the_safe_side() {
        let (trust, now) = (trust(), Time::from_seconds(1_000));
        for n in 0..REMEMBERED + 5 {
            trust.end(&Heard { session: Some(n.to_string()), subject: None, everything: false, at: 1_000 }, now);
        }
        assert!(trust.memory().ended.len() <= REMEMBERED);
        assert!(trust.is_over(&visitor("7", 990), now) && trust.is_over(&visitor("never heard of", 990), now));
        assert!(!trust.is_over(&visitor("new", 1_001), now));
    }
}

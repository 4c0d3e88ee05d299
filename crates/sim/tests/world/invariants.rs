//! What must be true after every step.

use countersign_server::app::App;
use countersign_store::{Engine, Query, Row};
use countersign_trust::ceremony::{Ceremony, State};
use countersign_trust::device::DeviceState;
use countersign_trust::session::SessionFacts;
use countersign_wire::statement;
use countersign_wire::{CeremonyId, SessionId, b64};
use std::collections::{BTreeMap, BTreeSet};

/// What was true before, to compare with.
#[derive(Default)]
pub struct Before {
    /// Newest number of the log.
    pub seq: i64,
    /// Version and state of each ceremony.
    ceremonies: BTreeMap<String, (i64, String)>,
    /// Sessions that were looked at.
    sessions: BTreeSet<String>,
    /// Codes and grants that were looked at.
    given: BTreeSet<String>,
    /// Which sessions live.
    live: BTreeSet<String>,
    /// Everything that a refusal must not change.
    facts: Vec<i64>,
}

/// What the last step did, as the answers said.
pub struct Did {
    /// Something was done, or may have been: an answer was good, the store was out of order, or nothing was heard.
    pub maybe: bool,
    /// Something worked that never may.
    pub broken: Option<String>,
    /// What it was, for the failure's text.
    pub what: String,
}

const FACTS: &str = "SELECT (SELECT COUNT(*) FROM person), (SELECT SUM(version) FROM person), (SELECT COUNT(*) FROM device), \
    (SELECT SUM(version) FROM device), (SELECT SUM(version) FROM credential), (SELECT SUM(counter) FROM credential), \
    (SELECT SUM(version) FROM client), (SELECT COUNT(*) FROM request), (SELECT SUM(version) FROM request), (SELECT COUNT(*) FROM ceremony), \
    (SELECT SUM(version) FROM ceremony), (SELECT COUNT(*) FROM session), (SELECT SUM(version) FROM session), (SELECT COUNT(*) FROM code), \
    (SELECT SUM(version) FROM code), (SELECT COUNT(*) FROM oauth_grant), (SELECT SUM(version) FROM oauth_grant)";

/// Where the sum of the ceremonies' versions stands among the facts.
const CEREMONY_VERSIONS: usize = 10;

async fn rows(engine: &Engine, sql: &'static str) -> Result<Vec<Row>, String> {
    engine.query(Query::new(sql, []).long()).await.map_err(|e| format!("the world cannot look: {e:?}"))
}

/// Which states may follow a state.
fn may_follow(from: &str, to: &str) -> bool {
    match from {
        "opened" => ["opened", "scanned", "confirmed", "refused", "expired", "abandoned"].contains(&to),
        "scanned" => ["scanned", "confirmed", "refused", "expired", "abandoned"].contains(&to),
        "confirmed" => ["approved", "refused", "expired", "abandoned"].contains(&to),
        "approved" => ["redeemed", "refused", "expired", "abandoned"].contains(&to),
        "redeemed" => ["redeemed", "revoked"].contains(&to),
        _ => false,
    }
}

impl Before {
    /// Looks at everything; answers what is wrong.
    pub async fn check(&mut self, app: &App, engine: &Engine, did: &Did) -> Result<(), String> {
        if let Some(broken) = &did.broken {
            return Err(broken.clone());
        }
        let kinds = self.log_is_gapless(engine).await?;
        let stronger = self.ceremonies_go_on(engine).await?;
        let live = self.sessions_are_earned(app, engine).await?;
        let given = self.everything_given_has_its_chain(app, engine).await?;
        let facts = rows(engine, FACTS).await?;
        let facts: Vec<i64> = (0..17).map(|i| facts[0].opt_int(i).ok().flatten().unwrap_or(0)).collect();
        if !did.maybe {
            if stronger || given || live.iter().any(|s| !self.live.contains(s)) {
                return Err(format!("a refused step gave something: {}", did.what));
            }
            let said = kinds.iter().any(|k| k != "step.refused");
            // A refused scan or wrong digits are counted on the ceremony itself, beside their record.
            let counted = kinds.iter().any(|k| k == "step.refused") && facts[CEREMONY_VERSIONS] == self.facts[CEREMONY_VERSIONS] + 1;
            let mut but_counts = facts.clone();
            if counted {
                but_counts[CEREMONY_VERSIONS] = self.facts[CEREMONY_VERSIONS];
            }
            if but_counts != self.facts && !said {
                return Err(format!("a refused step changed what it did not write down: {}\n{:?}\n{facts:?}", did.what, self.facts));
            }
        }
        (self.live, self.facts) = (live, facts);
        Ok(())
    }

    /// Every event has the number after the last one's.
    async fn log_is_gapless(&mut self, engine: &Engine) -> Result<Vec<String>, String> {
        let mut kinds = Vec::new();
        loop {
            let more = engine.events_after(self.seq, 500).await.map_err(|e| format!("{e:?}"))?;
            for line in &more {
                if line.seq != self.seq + 1 {
                    return Err(format!("the log jumps from {} to {}", self.seq, line.seq));
                }
                self.seq = line.seq;
                kinds.push(line.event.kind.clone());
            }
            if more.len() < 500 {
                break;
            }
        }
        let missing = rows(engine, "SELECT COUNT(*) FROM event WHERE seq IS NULL").await?;
        if missing[0].int(0) != Ok(0) {
            return Err("events without a number".to_owned());
        }
        Ok(kinds)
    }

    /// Nothing leaves an end, versions grow by one, states follow their order. Answers whether
    /// one came nearer to a session.
    async fn ceremonies_go_on(&mut self, engine: &Engine) -> Result<bool, String> {
        let mut stronger = false;
        for row in rows(engine, "SELECT id, version, state FROM ceremony").await? {
            let (id, version, state) = (row.text(0).unwrap().to_owned(), row.int(1).unwrap(), row.text(2).unwrap().to_owned());
            let old = self.ceremonies.insert(id.clone(), (version, state.clone()));
            let Some((v, s)) = old else {
                stronger = true;
                continue;
            };
            if v == version && s == state {
                continue;
            }
            // Doubled messages may take two steps at once.
            let two = version == v + 2 && ["opened", "scanned", "confirmed", "approved", "redeemed", "revoked"].contains(&state.as_str());
            let fits = version == v + 1 && may_follow(&s, &state) || two && may_follow(&s, &state) || two && state == "revoked";
            if !fits {
                return Err(format!("ceremony {id} went from {s} ({v}) to {state} ({version})"));
            }
            stronger |= ["approved", "redeemed"].contains(&state.as_str()) && s != state;
        }
        Ok(stronger)
    }

    /// One session for a ceremony; each from an approval by the device that scanned, whose statement
    /// names the session's own terminal key; none outlives its device. Answers which live.
    async fn sessions_are_earned(&mut self, app: &App, engine: &Engine) -> Result<BTreeSet<String>, String> {
        let (mut live, mut of) = (BTreeSet::new(), BTreeSet::new());
        let all = rows(engine, "SELECT s.id, s.ended, s.body, s.jkt, d.state FROM session s LEFT JOIN device d ON d.id = s.device").await?;
        for row in all {
            let id = row.text(0).unwrap().to_owned();
            let facts: SessionFacts = serde_json::from_str(row.text(2).unwrap()).map_err(|e| format!("session {id}: {e}"))?;
            let cid = facts.ceremony.clone().ok_or(format!("session {id} without a ceremony"))?;
            if !of.insert(cid.clone()) {
                return Err(format!("ceremony {cid} gave two sessions"));
            }
            if row.opt_text(1).unwrap().is_none() {
                let state = row.opt_text(4).unwrap().unwrap_or("absent");
                if DeviceState::parse(state) != Some(DeviceState::Active) {
                    return Err(format!("session {id} lives, its device is {state}"));
                }
                live.insert(id.clone());
            }
            if self.sessions.insert(id.clone()) {
                let c = app.store.ceremony(&cid).await.map_err(|e| format!("{e:?}"))?.ok_or(format!("session {id}: no ceremony"))?;
                earned(app, &id, &facts, row.text(3).unwrap(), &c).await?;
                let kinds = self.chain(app, facts.txn.as_str()).await?;
                in_order(&id, &kinds, &["ceremony.opened", "ceremony.scanned", "ceremony.approved", "ceremony.redeemed", "session.opened"])?;
            }
        }
        Ok(live)
    }

    async fn chain(&self, app: &App, txn: &str) -> Result<Vec<String>, String> {
        let lines = app.store.transaction(txn).await.map_err(|e| format!("{e:?}"))?;
        Ok(lines.into_iter().map(|(_, e)| e.kind).collect())
    }

    /// Codes and grants go back to a request in the same transaction, by way of their session.
    /// Answers whether there are new ones.
    async fn everything_given_has_its_chain(&mut self, app: &App, engine: &Engine) -> Result<bool, String> {
        let mut new = false;
        let codes = rows(engine, "SELECT id, session, body FROM code").await?;
        for row in codes {
            let id = row.text(0).unwrap().to_owned();
            if self.given.insert(id.clone()) {
                new = true;
                let body: serde_json::Value = serde_json::from_str(row.text(2).unwrap()).unwrap();
                let kinds = self.chain(app, body["txn"].as_str().unwrap_or_default()).await?;
                in_order(&id, &kinds, &["request.accepted", "code.issued"])?;
                self.has_session(app, row.text(1).unwrap()).await?;
            }
        }
        for row in rows(engine, "SELECT t.id, t.session, c.body FROM oauth_grant t LEFT JOIN code c ON c.id = t.code").await? {
            let id = row.text(0).unwrap().to_owned();
            if self.given.insert(id.clone()) {
                new = true;
                let body = row.opt_text(2).unwrap().ok_or(format!("grant {id} without a code"))?;
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                let kinds = self.chain(app, body["txn"].as_str().unwrap_or_default()).await?;
                in_order(&id, &kinds, &["request.accepted", "code.issued", "tokens.issued"])?;
                self.has_session(app, row.text(1).unwrap()).await?;
            }
        }
        Ok(new)
    }

    async fn has_session(&self, app: &App, id: &str) -> Result<(), String> {
        let id: SessionId = id.parse().map_err(|_| "a damaged session id")?;
        let found = app.store.session(&id).await.map_err(|e| format!("{e:?}"))?;
        found.map(|_| ()).ok_or(format!("no session {id}"))
    }
}

fn in_order(id: &str, kinds: &[String], wanted: &[&str]) -> Result<(), String> {
    let mut left = wanted.iter();
    let mut next = left.next();
    for kind in kinds {
        if next.is_some_and(|n| n == kind) {
            next = left.next();
        }
    }
    match next {
        None => Ok(()),
        Some(missing) => Err(format!("{id}: `{missing}` is missing from {kinds:?}")),
    }
}

async fn earned(app: &App, id: &str, facts: &SessionFacts, jkt: &str, c: &Ceremony) -> Result<(), String> {
    let approved = match &c.state {
        State::Redeemed(r) => Some(&r.approved),
        State::Ended(e) => e.approved.as_ref(),
        _ => None,
    };
    let approved = approved.ok_or(format!("session {id} without an approval"))?;
    let bytes = b64::decode(&approved.scan.statement).map_err(|_| "a damaged statement")?;
    let shown: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if shown["terminal"]["jkt"] != jkt || c.opening.jkt.as_str() != jkt || facts.jkt.as_str() != jkt {
        return Err(format!("session {id} is on another terminal key than the statement that was signed"));
    }
    let device = app.store.device(&approved.scan.device).await.map_err(|e| format!("{e:?}"))?.ok_or("no device")?.device;
    let cid: CeremonyId = c.opening.id.clone();
    let sd = statement::digest(&bytes);
    let issuer = &app.config.issuer;
    let expected = countersign_wire::approval::Expected { key: &device.dk, device: &device.id, issuer, cid: &cid, sd: &sd };
    let decision = countersign_wire::approval::verify(&approved.jws, &expected).map_err(|m| format!("session {id}: {}", m.0))?;
    if decision.decision != countersign_wire::approval::Verb::Approve || device.person != facts.person || facts.device != device.id {
        return Err(format!("session {id} belongs to somebody who did not approve it"));
    }
    let credential = app.store.credential(&facts.credential).await.map_err(|e| format!("{e:?}"))?.ok_or("no passkey")?;
    if credential.person != facts.person {
        return Err(format!("session {id} rests on somebody else's passkey"));
    }
    Ok(())
}

//! Rights without the line, on a registered terminal: its grant, the chain of what was opened, and their way back.
//!
//! What is opened is on the disk, signed, before anybody gets it; one program at a time writes there.

use super::Registered;
use super::registered::join;
use crate::http::{Call, Prover};
use crate::{Fault, Http, machine};
use countersign_wire::glass::{self, Answer, Bundle, Chain, Challenge, Closed, Grant, Judged, Opened, Record, Sealed, Slip, Why};
use countersign_wire::jose::Keys;
use countersign_wire::message::{GlassAsk, GlassGiven, GlassTaken};
use countersign_wire::{PersonId, Time, b64};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILE: &str = "glass.json";
/// What the server did not know any more.
const REFUSED: &str = "glass.refused.json";

/// A terminal's grant with its chain, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GlassKept {
    /// All of it; the last word once there is one, and then nothing is opened any more.
    pub bundle: Bundle,
    /// The server's keys when it was given.
    pub keys: Value,
    /// Whether the server has it back.
    pub handed_in: bool,
}

/// What somebody at the terminal asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is to be opened.
    pub scopes: Vec<String>,
    /// For how long, seconds; as long as was granted if nothing is said.
    pub for_s: Option<i64>,
    /// Why.
    pub reason: String,
    /// Who will work with it.
    pub works: Option<PersonId>,
}

/// A question that waits for two answers.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What was granted.
    pub sealed: Sealed,
    /// What is asked.
    pub challenge: Challenge,
    /// What phones are shown.
    pub slip: Slip,
}

impl GlassKept {
    /// The grant and what was opened with it. A chain that does not hold together here is none that anybody would take.
    pub fn judged(&self) -> Result<Judged, Why> {
        let judged = self.bundle.judge(&Keys::of(&self.keys))?;
        match judged.wrong {
            None => Ok(judged),
            Some(why) => Err(why),
        }
    }
}

/// The chain of a grant up to its last record.
fn chain<'a>(grant: &'a Grant, bundle: &Bundle) -> Result<Chain<'a>, Why> {
    let mut chain = Chain::new(grant);
    for record in &bundle.records {
        chain.take(record)?;
    }
    Ok(chain)
}

impl Registered {
    /// What is kept of the newest grant.
    pub fn glass(&self) -> Result<Option<GlassKept>, Fault> {
        self.folder().read_json(FILE)
    }

    /// Hands in what there is, and takes a new grant for `client`.
    pub async fn glass_take(&self, http: &Http, client: &str) -> Result<Sealed, Fault> {
        self.glass_end(http).await?;
        let keys: Value = http.ask(&Call::fetch(join(&self.kept().issuer, "jwks")?)).await?;
        let call = Call::post(join(&self.kept().issuer, "terminals/glass")?, &GlassAsk { client: client.to_owned() })?;
        let given: GlassGiven = http.ask(&call.proved(Prover::device(self.key()))).await?;
        let bundle = Bundle { grant: given.grant, roster: given.roster, records: Vec::new(), close: None };
        let kept = GlassKept { bundle, keys, handed_in: false };
        let sealed = kept.judged()?.grant.sealed;
        if sealed.jkt != self.key().public().thumbprint() {
            return Err(Why::Terminal.into());
        }
        self.folder().alone(|| self.folder().write_json(FILE, &kept))?;
        Ok(sealed)
    }

    /// What to show to two people's phones, at `now`.
    pub fn glass_ask(&self, ask: &Ask, now: Time) -> Result<Opening, Fault> {
        let kept = self.open_glass()?;
        let judged = kept.judged()?;
        let (grant, chain) = (&judged.grant, chain(&judged.grant, &kept.bundle)?);
        let challenge = Challenge {
            v: 1,
            grant: b64::encode(&grant.digest),
            number: chain.uses() + 1,
            prev: chain.last(),
            scopes: ask.scopes.clone(),
            for_s: ask.for_s.unwrap_or(grant.sealed.for_s),
            reason: ask.reason.trim().to_owned(),
            works: ask.works.clone(),
            at: now.seconds(),
            n: b64::encode(&machine::bytes::<16>()?),
        };
        chain.asks(&challenge)?;
        let bytes = challenge.encode().map_err(|_| Fault::Usage("a reason of 1 to 200 plain characters, and scopes of the grant".into()))?;
        Ok(Opening { slip: Slip { challenge: bytes, grant: kept.bundle.grant.clone() }, sealed: grant.sealed.clone(), challenge })
    }

    /// Opens it with two answers, at `now`: judged, written down, and only then given.
    pub fn glass_keep(&self, opening: &Opening, answers: [Answer; 2], now: Time) -> Result<(Opened, Bundle), Fault> {
        self.folder().alone(|| {
            let mut kept = self.open_glass()?;
            let judged = kept.judged()?;
            let end = now.seconds().saturating_add(opening.challenge.for_s).min(judged.grant.sealed.exp);
            let record = Record { v: 1, challenge: b64::encode(&opening.slip.challenge), answers, begin: now.seconds(), end };
            let text = glass::keep(&record, self.key().public(), self.key())?;
            let opened = chain(&judged.grant, &kept.bundle)?.take(&text)?;
            kept.bundle.records.push(text);
            self.folder().write_json(FILE, &kept)?;
            Ok((opened, kept.bundle))
        })
    }

    /// Says the last word about what there is and hands it in; `None` where there is nothing to hand in. Whatever
    /// becomes of it on the way, nothing is opened with it any more.
    pub async fn glass_end(&self, http: &Http) -> Result<Option<GlassTaken>, Fault> {
        let Some(kept) = self.closed(machine::now())? else { return Ok(None) };
        let call = Call::post(join(&self.kept().issuer, "terminals/glass/end")?, &kept.bundle)?;
        let taken = http.ask::<GlassTaken>(&call.proved(Prover::device(self.key()))).await;
        let unknown = taken.as_ref().is_err_and(|fault| fault.is("no_such_thing"));
        if taken.is_err() && !unknown {
            return taken.map(Some);
        }
        self.folder().alone(|| {
            // A server that was restored knows nothing of it: kept for whoever asks, and no longer in the way.
            if unknown {
                self.folder().write_json(REFUSED, &kept)?;
            }
            self.folder().write_json(FILE, &GlassKept { handed_in: true, ..kept })
        })?;
        taken.map(Some)
    }

    /// What is to be handed in, with its last word, which is written down before it is said.
    fn closed(&self, now: Time) -> Result<Option<GlassKept>, Fault> {
        self.folder().alone(|| {
            let Some(mut kept) = self.glass()?.filter(|k| !k.handed_in) else { return Ok(None) };
            if kept.bundle.close.is_none() {
                // Up to the first record that does not hold: the server is to see them all, and judges for itself.
                let judged = kept.bundle.judge(&Keys::of(&kept.keys))?;
                let mut chain = Chain::new(&judged.grant);
                for record in kept.bundle.records.iter().take(judged.opened.len()) {
                    chain.take(record)?;
                }
                let closed = Closed { v: 1, id: judged.grant.sealed.id.clone(), uses: chain.uses(), last: chain.last(), at: now.seconds() };
                kept.bundle.close = Some(glass::close(&closed, self.key().public(), self.key())?);
                self.folder().write_json(FILE, &kept)?;
            }
            Ok(Some(kept))
        })
    }

    fn open_glass(&self) -> Result<GlassKept, Fault> {
        let none = || Fault::Local("this terminal has no grant: `countersign-device glass take` while the line is up".into());
        self.glass()?.filter(|k| k.bundle.close.is_none() && !k.handed_in).ok_or_else(none)
    }
}

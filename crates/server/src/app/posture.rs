//! What a device reports about its health (docs/posture.md).
//!
//! 1. The report is verified: by this device's key, for this server, with a live nonce.
//! 2. Its number is above all before, or it is refused; a number that another report had means that
//!    the key exists twice.
//! 3. Facts that no decision could tell from the known ones move nothing but the time of the last
//!    word. Others move the device's version, and what rests on them is judged again.
//! 4. Whoever was silent and speaks is silent no more.

use super::silence::{self, Numbered, Span};
use super::{App, Context, Fault, signals};
use countersign_store::sql::{LastReport, StoredDevice};
use countersign_trust::Refusal;
use countersign_trust::posture::{Confidence, Fact, Posture};
use countersign_trust::signal::{Kind, Signal, Subject};
use countersign_wire::evidence::{self, Asked};
use countersign_wire::message::{PostureBody, PostureFact, PostureTaken, PostureView};
use countersign_wire::posture::{self, Expected, Name, Report, ReportFault};
use countersign_wire::{Time, b64, dpop, mac};

/// Who says what a device says of itself.
pub const DEVICE: &str = "device";
/// Who raises a signal that this server's own observation made.
pub const OBSERVED: &str = "observed";

/// What a device needs in order to report, and what is known of it.
pub async fn view(app: &App, ctx: &Context, by: &StoredDevice) -> Result<PostureView, Fault> {
    let device = &by.device;
    let known = &device.posture;
    let best = |name: &Name| known.fact(*name).filter(|f| f.value != "unknown");
    Ok(PostureView {
        nonce: nonce(app),
        n: app.store.last_report(&device.id).await?.n.max(app.heard.newest(&device.id)),
        every_s: app.config.heartbeat_s,
        beats: known.heartbeat_s.is_some(),
        facts: Name::ALL.iter().filter_map(best).map(shown).collect(),
        signals: device.signals.iter().filter(|s| s.is_live(ctx.now)).map(|s| s.kind.as_str().to_owned()).collect(),
    })
}

fn nonce(app: &App) -> String {
    dpop::nonce(app.keys.k().1.expose(), app.now())
}

fn shown(fact: &Fact) -> PostureFact {
    PostureFact {
        name: fact.name.as_str().to_owned(),
        value: fact.value.clone(),
        source: fact.source.clone(),
        confidence: fact.confidence.as_str().to_owned(),
        at: fact.at.seconds(),
    }
}

/// Takes a report.
pub async fn take(app: &App, ctx: &Context, by: &StoredDevice, sent: &PostureBody) -> Result<PostureTaken, Fault> {
    let device = &by.device;
    let verified = verify(app, ctx, by, &sent.report)?;
    let report = verified.report();
    let tag = mac::h(sent.report.as_bytes());
    let this = LastReport { n: report.n, tag: b64::encode(tag.get(..12).unwrap_or_default()) };
    let written = app.store.last_report(&device.id).await?;
    match app.heard.number(&device.id, &this, &written, ctx.now) {
        Numbered::New => {}
        Numbered::Old => return Err(Fault::because(Refusal::PostureOld, "a number that is not above the last")),
        Numbered::Doubled => {
            // Two programs with one key, or one whose state was set back: either way it is not one device.
            raise(app, by, Kind::DeviceCloned, ctx).await?;
            return Err(Fault::because(Refusal::PostureOld, "a number that another report had"));
        }
    }
    let promise = report.beats.then_some(app.config.heartbeat_s);
    let (own, shown) = (facts(report, ctx.now), attested(app, ctx, by, report)?);
    let promised = promise.is_some() || device.posture.heartbeat_s.is_some();
    let silence_at = promised.then(|| Span::of_device(&app.config).silent(ctx.now));
    app.heard.device(&device.id, &this, silence_at, ctx.now);
    if promise.is_some() && device.posture.heartbeat_s.is_none() {
        // A first promise outlives a crash of this node.
        silence::flush(app).await?;
    }
    let learnt = |known: &Posture| Ok(learnt(known, known.reported(&own, &shown, ctx.now), report.n, promise));
    let changed = signals::learn(app, &device.id, &ctx.txn, learnt).await?;
    for kind in [Kind::DeviceSilent, Kind::DeviceGone] {
        if device.signals.iter().any(|s| s.kind == kind && s.source == silence::SOURCE) {
            signals::clear(app, &Subject::Device(device.id.clone()), kind, Some(silence::SOURCE), &ctx.txn).await?;
        }
    }
    Ok(PostureTaken { changed, nonce: nonce(app), every_s: app.config.heartbeat_s })
}

fn verify(app: &App, ctx: &Context, by: &StoredDevice, text: &str) -> Result<posture::Verified, Fault> {
    let keys = app.keys.k_live();
    let keys: Vec<&[u8]> = keys.iter().map(countersign_wire::Secret::expose).collect();
    let expected = Expected { key: &by.device.dk, device: &by.device.id, issuer: &app.config.issuer, keys: &keys, now: ctx.now };
    posture::verify(text, &expected).map_err(|fault| match fault {
        ReportFault::Malformed(m) => m.into(),
        ReportFault::Foreign(why) => Fault::because(Refusal::BadProof, why),
        ReportFault::Old => Fault::because(Refusal::PostureOld, "a nonce that is over"),
    })
}

async fn raise(app: &App, by: &StoredDevice, kind: Kind, ctx: &Context) -> Result<(), Fault> {
    let signal = Signal { kind, source: OBSERVED.to_owned(), at: ctx.now, until: None };
    signals::raise(app, &Subject::Device(by.device.id.clone()), signal, &ctx.txn).await.map(|_| ())
}

/// A report is whole: whatever it does not name is unknown now.
fn facts(report: &Report, now: Time) -> Vec<Fact> {
    let own = Name::ALL.iter().filter(|n| n.is_own());
    own.map(|name| {
        let said = report.facts.get(name);
        Fact {
            name: *name,
            value: said.map_or("unknown", |s| s.value.as_str()).to_owned(),
            source: DEVICE.to_owned(),
            confidence: said.map(|s| s.confidence).unwrap_or_default(),
            at: now,
        }
    })
    .collect()
}

/// What the hardware of the device signed, as facts. A piece that shows nothing is refused: it is
/// damaged, or somebody tries.
fn attested(app: &App, ctx: &Context, by: &StoredDevice, report: &Report) -> Result<Vec<Fact>, Fault> {
    let keys = app.keys.k_live();
    let keys: Vec<&[u8]> = keys.iter().map(countersign_wire::Secret::expose).collect();
    let asked = Asked { nonce: &report.nonce, device: &by.device.jkt, keys: &keys, trusted: &app.trusted, now: ctx.now };
    let mut facts = Vec::new();
    for piece in &report.evidence {
        let shown = evidence::judge(piece, &asked).map_err(|fault| Fault::because(Refusal::BadEvidence, fault.as_str()))?;
        let source = shown.kind.as_str();
        facts.extend(shown.facts.into_iter().map(|(name, value)| Fact {
            name,
            value,
            source: source.to_owned(),
            confidence: Confidence::Attested,
            at: ctx.now,
        }));
    }
    Ok(facts)
}

/// With the device's promise; `None` where nothing could be decided otherwise. A promise that was made
/// once is not taken back.
fn learnt(known: &Posture, reported: Option<Posture>, n: i64, promise: Option<i64>) -> Option<Posture> {
    let promised = promise.filter(|_| known.heartbeat_s != promise);
    if reported.is_none() && promised.is_none() {
        return None;
    }
    let next = reported.unwrap_or_else(|| known.clone());
    Some(Posture { counter: next.counter.max(n), heartbeat_s: promised.or(known.heartbeat_s), ..next })
}

//! What happened in a ceremony, for the person it concerned and for the operator.

use super::redeem::setting;
use crate::app::issue::Vetoes;
use crate::app::{App, Fault};
use countersign_store::sql::StoredDevice;
use countersign_trust::ceremony::{Approved, Ceremony};
use countersign_trust::{Refusal, verdict};
use countersign_wire::CeremonyId;
use countersign_wire::message::Story;
use serde_json::{Value, json};

/// The story of a ceremony that concerned this device's person.
pub async fn of_person(app: &App, device: &StoredDevice, cid: &str) -> Result<Story, Fault> {
    let none = || Fault::because(Refusal::NoSuchCeremony, "unknown, or another person's");
    let c = super::named(app, cid).await?.ok_or_else(none)?;
    let theirs = c.scan_facts().map(|s| &s.person).or(c.opening.offered.as_ref()) == Some(&device.device.person);
    if !theirs {
        return Err(none());
    }
    story(app, &c.opening.id).await
}

/// The story of a ceremony: its events, and a verdict for each of the 17 mitigations.
pub async fn story(app: &App, id: &CeremonyId) -> Result<Story, Fault> {
    let c = app.store.ceremony(id).await?.ok_or(Refusal::NoSuchCeremony)?;
    let mut verdicts = None;
    let mut events = Vec::new();
    for (seq, e) in app.store.story(id).await? {
        let mut body: Value = serde_json::from_str(&e.body).unwrap_or(Value::Null);
        let facts = body.get_mut("facts").and_then(Value::as_object_mut);
        // They have a place of their own in the story.
        if let Some(Value::Array(logged)) = facts.and_then(|facts| facts.remove("verdicts")) {
            verdicts = Some(logged);
        }
        let mut told = json!({"seq": seq, "at": e.at / 1_000_000, "ms": (e.at - c.opening.at.0) / 1_000,
            "kind": e.kind, "facts": body.get("facts"), "txn": e.txn});
        if let (Some(map), Some(code)) = (told.as_object_mut(), body.get("code")) {
            map.insert("code".to_owned(), code.clone());
        }
        events.push(told);
    }
    let verdicts = match (verdicts, c.approval()) {
        (Some(logged), _) => logged,
        (None, Some(approved)) => as_it_stands(app, &c, approved).await?,
        (None, None) => Vec::new(),
    };
    Ok(Story { events, verdicts })
}

/// The verdicts of what is approved and was not redeemed: none are in the log yet.
async fn as_it_stands(app: &App, c: &Ceremony, approved: &Approved) -> Result<Vec<Value>, Fault> {
    let scan = &approved.scan;
    let client = super::client_of(c);
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, client.as_ref()).await?;
    let verdicts = verdict::verdicts(c, approved, &setting(app, &vetoes, c, scan));
    Ok(verdicts.iter().map(|v| serde_json::to_value(v).unwrap_or(Value::Null)).collect())
}

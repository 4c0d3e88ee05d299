//! What happened in a ceremony, for the person it concerned and for the operator.

use super::redeem::setting;
use crate::app::issue::Vetoes;
use crate::app::{App, Fault};
use countersign_store::sql::StoredDevice;
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
    let events = app
        .store
        .story(id)
        .await?
        .into_iter()
        .map(|(seq, e)| {
            let body: Value = serde_json::from_str(&e.body).unwrap_or(Value::Null);
            let field = |name: &str| body.get(name).cloned().unwrap_or(Value::Null);
            let mut told = json!({"seq": seq, "at": e.at / 1_000_000, "ms": (e.at - c.opening.at.0) / 1_000,
                "kind": e.kind, "facts": field("facts"), "txn": e.txn});
            if let (Some(map), Some(code)) = (told.as_object_mut(), body.get("code")) {
                map.insert("code".to_owned(), code.clone());
            }
            told
        })
        .collect();
    let verdicts = match c.approval() {
        Some(approved) => {
            let client = super::client_of(&c);
            let scan = &approved.scan;
            let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, client.as_ref()).await?;
            verdict::verdicts(&c, approved, &setting(app, &vetoes, &c, scan))
                .iter()
                .map(|v| serde_json::to_value(v).unwrap_or(Value::Null))
                .collect()
        }
        None => Vec::new(),
    };
    Ok(Story { events, verdicts })
}

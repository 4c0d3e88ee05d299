//! Every door of the server and every grant is passed by a way of the table, or excused by a reason.

use super::stage;
use super::ways::{Step, Way};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Why a door that no way passes needs no row.
enum Covered {
    /// A way passes it at this step.
    By(Step),
    /// It gives nothing: the reason.
    Gives(&'static str),
}
use Covered::{By, Gives};

const DOORS: &[(&str, Covered)] = &[
    ("/forward-auth", By(Step::Forward)),
    ("/forward-auth/enter", Gives("begins a sign-in")),
    ("/forward-auth/arrived", Gives("takes a code through the gate, as the token endpoint does: scenarios/forward.rs")),
    ("/answer/{flow}", Gives("carries the answer that a redemption made, as a form")),
    ("/sign-in/{flow}", Gives("a page; what it shows is the client's name")),
    ("/sign-in/{flow}/resume", By(Step::Resume)),
    ("/sign-in/{flow}/cancel", Gives("ends a request")),
    ("/sign-in/{flow}/passkey/options", By(Step::PasskeyOptions)),
    ("/sign-in/{flow}/passkey", By(Step::PasskeySignIn)),
    ("/ceremonies", By(Step::Open)),
    ("/ceremonies/{cid}", Gives("the state, to its own screen")),
    ("/ceremonies/{cid}/events", Gives("the state, to its own screen")),
    ("/ceremonies/{cid}/confirm", By(Step::DigitsOnScreen)),
    ("/ceremonies/{cid}/abandon", Gives("ends a ceremony")),
    ("/ceremonies/{cid}/redeem", By(Step::Redeem)),
    ("/ceremonies/{cid}/continue", By(Step::Continue)),
    ("/session", Gives("a page for a session that lives")),
    ("/session/watch", Gives("one word: how the session of this screen stands")),
    ("/session/end", Gives("ends a session")),
    ("/session/beat", Gives("says that a page is there; opens nothing")),
    ("/session/bound", Gives("a cookie that a session needs beside what it has, and that opens nothing: x25_where_trust_has_fallen_there_is_nothing_to_sign")),
    ("/session/bound/refresh", Gives("the same")),
    ("/q", Gives("a page, the same for all")),
    ("/code", Gives("a page, the same for all")),
    ("/phone", Gives("a page, the same for all")),
    ("/worker.js", Gives("a script, the same for all")),
    ("/enrol", Gives("a page, the same for all")),
    ("/add", Gives("a page, the same for all")),
    ("/badge", Gives("a page, the same for all")),
    ("/assets/{path}", Gives("scripts and styles")),
    ("/device/scans", By(Step::Scan)),
    ("/device/badges", Gives("what an active device shows; what a terminal opens with it is taken, judged and decided like any other")),
    ("/device/pending", Gives("what is offered to an active device: people.rs")),
    ("/device/push", Gives("a word that something waits, to an active device: what waits it asks for like any other")),
    ("/device/push/end", Gives("ends that")),
    ("/device/evidence/tpm", Gives("a secret that only a TPM with the device's own attestation key opens, good for evidence alone")),
    ("/device/posture", Gives("what a device says of itself, in any state of a life that has not ended")),
    ("/device/unlock/options", By(Step::Unlock)),
    ("/device/unlock", By(Step::Unlock)),
    ("/device/lock", Gives("locks what its person has open")),
    ("/device/overview", Gives("what a device may see: people.rs")),
    ("/device/ceremonies/{cid}", Gives("what its scanner saw")),
    ("/device/ceremonies/{cid}/story", Gives("what the log says of one's own ceremony")),
    ("/device/ceremonies/{cid}/take", By(Step::Take)),
    ("/device/ceremonies/{cid}/confirm", By(Step::DigitsOnPhone)),
    ("/device/ceremonies/{cid}/decision", By(Step::Approve)),
    ("/device/sessions/end", Gives("ends sessions")),
    ("/device/sessions/{id}/end", Gives("ends a session")),
    ("/device/rights/{id}/end", Gives("ends a right")),
    ("/device/devices/{id}/{verb}", Gives("people.rs walks these by the device's state")),
    ("/device/notices/{id}/{verb}", Gives("answers a notice; undoing takes away")),
    ("/device/user-code", Gives("sets what clients must bring; called.rs")),
    ("/device/invitations", Gives("people.rs: an administrator who is active")),
    ("/enrolments/look", Gives("the name on an invitation")),
    ("/enrolments/begin", By(Step::FinishEnrolment)),
    ("/enrolments/finish", By(Step::FinishEnrolment)),
    ("/rebind/options", By(Step::RebindOptions)),
    ("/rebind/finish", By(Step::RebindFinish)),
    ("/operator", Gives("a page, the same for all")),
    ("/operator/enter", Gives("begins a sign-in")),
    ("/operator/lines", Gives("people/operator.rs: what happened, to an operator's own screen")),
    ("/operator/refusals/{reference}", Gives("people/operator.rs: what happened, to an operator's own screen")),
    ("/operator/people/look", Gives("people/operator.rs: what a person has, to an operator's own screen")),
    ("/operator/people/recovery", Gives("people/operator.rs: tells a person's devices; no ticket")),
    ("/operator/sessions/{id}/end", Gives("ends a session")),
    ("/operator/devices/{id}/suspend", Gives("stops a device")),
    ("/operator/devices/{id}/touched", Gives("people/operator.rs: what a device touched, to an operator's own screen")),
    ("/operator/devices/{id}/touched/end", Gives("ends what a device touched")),
    ("/terminal", Gives("a page, the same for all")),
    ("/kiosk", Gives("a page; it names whose session lives on this screen")),
    ("/terminals/look", Gives("what a link registers; to a TPM, a secret good for evidence alone")),
    ("/terminals/register", Gives("a key for a screen, which opens nothing without somebody's approval: scenarios/terminals.rs")),
    ("/terminals/report", Gives("takes rights away: q10_ in scenarios/remote.rs; what it gives back is its own word")),
    ("/terminals/glass", Gives("what two people can open later at a terminal in its place: x13_without_the_line in attacks/glass.rs walks who may by what they lost")),
    ("/terminals/glass/end", Gives("nothing; takes what was opened")),
    ("/recover", Gives("a page, the same for all")),
    ("/recovery/code", By(Step::UseCode)),
    ("/recovery/standing", Gives("how far it is, to the key that asked")),
    ("/recovery/collect", By(Step::Collect)),
    ("/recovery/cancel", Gives("ends a recovery")),
    ("/device/recovery-codes/options", By(Step::MakeCodes)),
    ("/device/recovery-codes", By(Step::MakeCodes)),
    ("/healthz", Gives("health")),
    ("/readyz", Gives("health")),
    ("/openapi.json", Gives("a document")),
];

const ENDPOINTS: [(&str, Covered); 10] = [
    ("pushed_authorization_request_endpoint", By(Step::PushRequest)),
    ("backchannel_authentication_endpoint", By(Step::Call)),
    ("device_authorization_endpoint", By(Step::AskForCode)),
    ("introspection_endpoint", By(Step::Introspect)),
    ("revocation_endpoint", Gives("takes away")),
    ("authorization_endpoint", By(Step::Authorize)),
    ("token_endpoint", By(Step::Exchange)),
    ("userinfo_endpoint", By(Step::UserInfo)),
    ("end_session_endpoint", Gives("ends a session")),
    ("jwks_uri", Gives("public keys")),
];

const DECISIONS: [(&str, Covered); 6] = [
    ("access_request_endpoint", Gives("a task that somebody else approves: a7_ in scenarios/supervised.rs; what is given is judged at every use")),
    ("access_evaluation_endpoint", By(Step::Decide)),
    ("access_evaluations_endpoint", Gives("several of the same, judged one by one by the same function")),
    ("search_subject_endpoint", Gives("the same question of every name")),
    ("search_action_endpoint", Gives("the same question of every name")),
    ("search_resource_endpoint", Gives("the same question of every name")),
];

const SIGNALS: [(&str, Covered); 6] = [
    ("jwks_uri", Gives("public keys")),
    ("configuration_endpoint", Gives("streams of a receiver, by its own token: no person stands behind it; x32_a_stream_is_its_receivers_alone")),
    ("status_endpoint", Gives("the same")),
    ("add_subject_endpoint", Gives("the same")),
    ("remove_subject_endpoint", Gives("the same")),
    ("verification_endpoint", Gives("the same")),
];

const GRANTS: [(&str, Covered); 6] = [
    ("authorization_code", By(Step::Exchange)),
    ("refresh_token", By(Step::Refresh)),
    ("urn:openid:params:grant-type:ciba", By(Step::Hear)),
    ("urn:ietf:params:oauth:grant-type:device_code", By(Step::CollectTokens)),
    ("client_credentials", By(Step::Mint)),
    ("urn:ietf:params:oauth:grant-type:token-exchange", By(Step::HandOn)),
];

fn same(found: BTreeSet<String>, listed: &[(&str, Covered)], what: &str) {
    let known: BTreeSet<String> = listed.iter().map(|(name, _)| (*name).to_owned()).collect();
    let missing: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "{what} without a row: {missing:?}; rows without {what}: {gone:?}");
    for (name, covered) in listed {
        match covered {
            By(step) => assert!(Way::ALL.iter().any(|way| way.steps().contains(step)), "{name}: no way takes {step:?}"),
            Gives(reason) => assert!(!reason.is_empty(), "{name}"),
        }
    }
}

#[tokio::test]
async fn x13_every_door_and_every_grant_has_a_row() {
    let scene = stage().scene().await;
    let raw = scene.raw("10.255.255.1");
    let read = async |path: &str| raw.send("GET", path, &[], Vec::new()).await.json();
    let doors: Value = read("/openapi.json").await;
    // Those that a standard describes are named by its metadata, below.
    let standard = |door: &Value| door.as_object().unwrap().values().all(|one| ["oauth", "decisions", "signals"].iter().any(|tag| one["tags"] == json!([tag])));
    let own = doors["paths"].as_object().unwrap().iter().filter(|(_, door)| !standard(door));
    same(own.map(|(path, _)| path.clone()).collect(), DOORS, "doors");
    let metadata: Value = read("/.well-known/openid-configuration").await;
    let endpoints = metadata.as_object().unwrap().keys().filter(|k| k.ends_with("_endpoint") || *k == "jwks_uri").cloned();
    same(endpoints.collect(), &ENDPOINTS, "endpoints");
    let metadata: Value = read("/.well-known/authzen-configuration").await;
    let endpoints = metadata.as_object().unwrap().keys().filter(|k| k.ends_with("_endpoint")).cloned();
    same(endpoints.collect(), &DECISIONS, "decisions");
    let metadata: Value = read("/.well-known/ssf-configuration").await;
    let endpoints = metadata.as_object().unwrap().keys().filter(|k| k.ends_with("_endpoint") || *k == "jwks_uri").cloned();
    same(endpoints.collect(), &SIGNALS, "signals");
    let metadata: Value = read("/.well-known/openid-configuration").await;
    let grants = metadata["grant_types_supported"].as_array().unwrap().iter().map(|g| g.as_str().unwrap().to_owned());
    same(grants.collect(), &GRANTS, "grants");
}

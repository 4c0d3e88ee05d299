//! A passkey used on the terminal itself: the safest way, offered first.

use super::ceremony::digit_counter;
use super::ceremony::open::{Beginning, may_begin};
use super::issue::{Ground, Vetoes, gate};
use super::once::{burn, hashed, refuse_if_burnt};
use super::sessions::{self, Begun, By, Fresh, Started, open_request};
use super::{App, Context, Fault, observe, terminals};
use countersign_store::{Commit, Write};
use countersign_trust::acr::Earned;
use countersign_trust::audit::Kind;
use countersign_trust::device::Credential;
use countersign_trust::detail;
use countersign_trust::issuance::Product;
use countersign_trust::presence::Presence;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{AssertionAsk, RedeemedReply};
use countersign_wire::statement::Purpose;
use countersign_wire::webauthn::{self, Assertion, AssertionText, Verified};
use countersign_wire::{CredentialId, SessionId, Time, b64};
use serde_json::json;

/// Options for any passkey that the browser can reach; the platform's own first, then a phone by
/// hybrid transport.
pub async fn options(app: &App, ctx: &Context, flow: &str, browser: &str) -> Result<AssertionAsk, Fault> {
    app.in_order()?;
    let request = open_request(app, flow, browser, ctx.now).await?;
    let challenge: [u8; 32] = app.random();
    let mut event = app.event(Kind::PasskeyAsked, &request.facts.txn, ctx.now);
    event.client = Some(request.facts.client.clone());
    let mut commit = Commit::new(event);
    let until = ctx.now.plus_s(limits::CHALLENGE_S);
    commit.write(Write::challenge_made(&hashed(&challenge), flow, &hashed(browser.as_bytes()), until));
    app.commit(commit).await?;
    let hints = ["client-device", "hybrid", "security-key"];
    Ok(ask(app, &challenge, Vec::new(), &hints, limits::CHALLENGE_S * 1_000))
}

/// What a good passkey gives.
pub struct SignedIn {
    /// Reply.
    pub reply: RedeemedReply,
    /// Cookies.
    pub cookies: Fresh,
}

/// Verifies the assertion and signs in, through the same gate as every ceremony.
pub async fn sign_in(
    app: &App,
    ctx: &Context,
    flow: &str,
    browser: &str,
    former: Option<&str>,
    proof: &Proof,
    text: &AssertionText,
    raise: bool,
) -> Result<SignedIn, Fault> {
    app.judged_anew(|n| attempt(app, ctx, flow, browser, former, proof, (text, raise), n)).await
}

async fn attempt(
    app: &App,
    ctx: &Context,
    flow: &str,
    browser: &str,
    former: Option<&str>,
    proof: &Proof,
    (text, raise): (&AssertionText, bool),
    n: usize,
) -> Result<SignedIn, Fault> {
    refuse_if_burnt(app, n, proof).await?;
    let now = ctx.now;
    let browser_hash = hashed(browser.as_bytes());
    let request = open_request(app, flow, browser, now).await?;
    let Judged { credential, counter, challenge_hash } = judge(app, ctx, text, (flow, &browser_hash), now).await?;
    ctx.known_as("passkey", credential.id.as_str());
    let r = &request.facts;
    if r.person.as_ref().is_some_and(|p| *p != credential.person) {
        return Err(Fault::because(Refusal::Denied, "another person than the request is for"));
    }
    let vetoes = Vetoes::load(app, &credential.person, &credential.device, &credential.id, Some(&r.client)).await?;
    let met = terminals::by_key(app, ctx, &proof.jkt).await?;
    let vetoes = vetoes.at(app, met.as_ref().map(|m| &m.at)).await?;
    let client = vetoes.client.as_ref().map(|c| &c.client);
    let what = Beginning { client, purpose: Purpose::SignIn, details: &r.details, met: met.as_ref(), collector: None, txn: &r.txn };
    let may = may_begin(app, ctx, &what).await?;
    if vetoes.device.is_shared() {
        // It counts beside the keys of its seat and its phone, and nowhere alone.
        return Err(Fault::because(Refusal::SharedPhone, "the passkey of a seat"));
    }
    let earned = if credential.attested && !credential.backup_eligible { Earned::PasskeyHardware } else { Earned::Passkey };
    let earned = earned.recovering(vetoes.device.is_recovering(now));
    let ground = Ground {
        earned,
        acr_values: &r.acr_values,
        scopes: &r.scopes,
        channel: "passkey",
        presence: Presence::Unproven,
        purpose: Purpose::SignIn,
        details: detail::types(&r.details),
        collector: None,
    };
    let (permit, allowed) = gate(app, Product::Session, &vetoes, &ground, now)?;
    let raised = sessions::to_raise(app, ctx, raise, former, proof, &r.client).await?;
    if raised.as_ref().is_some_and(|s| s.facts.person != credential.person) {
        return Err(Fault::because(Refusal::Denied, "another person than the session's"));
    }
    let id = raised.as_ref().map_or_else(|| SessionId::new(now, app.id10()), |s| s.facts.id.clone());
    let Begun { session, cookies, write, mut event } = sessions::begin(
        app,
        &permit,
        &vetoes,
        Started {
            // Nothing was read on a device of the person's own.
            timed: Vec::new(),
            id,
            txn: r.txn.clone(),
            by: By::Passkey(may),
            jkt: proof.jkt.clone(),
            earned,
            attested: credential.attested,
            auth_time: now,
            session_s: allowed.rights.session_s,
            agent: ctx.agent.clone(),
            shown: json!({"channel": "passkey", "near": "unproven", "terminal": terminals::word(met.as_ref().map(|m| &m.at))}),
            collector: None,
            origins: vec![observe::origin(app, ctx)],
            terminal: met.as_ref().map(|m| m.at.clone()),
        },
        raised.as_ref(),
        now,
    );
    let facts = &session.facts;
    let vetoes = vetoes.in_session(app, &session, now).await?;
    let (next, code_writes, code_event) = sessions::code(app, &request, None, &vetoes, now)?;
    let mut used = app.session_event(Kind::PasskeyUsed, &r.txn, &facts.id, now).fact("acr", earned.acr());
    used.person = Some(facts.person.clone());
    used.device = Some(facts.device.clone());
    used.client = Some(r.client.clone());
    event.client = Some(r.client.clone());
    let mut commit = Commit::new(used);
    commit.event(event).event(code_event);
    commit.write(burn(proof)).write(Write::challenge_used(&challenge_hash));
    commit.write(Write::credential_used(&credential, counter));
    commit.write(write).writes(code_writes);
    commit.guards(vetoes.guards_but_credential());
    for device in app.store.devices_of(&facts.person).await? {
        commit.write(Write::count_forgiven(&digit_counter(&facts.person, &device.device.id, now)));
    }
    commit.also(sessions::take_over(app, &browser_hash, None, former, &vetoes, &cookies, now).await?);
    app.commit(commit).await?;
    let name = app.store.named(&facts.person).await?.map(|n| n.name).unwrap_or_default();
    Ok(SignedIn { reply: RedeemedReply { name, greet: false, next: Some(next), ticket: None, recovery: None }, cookies })
}

/// Options for a passkey (WebAuthn L3 §7.2); an empty `allow` means any.
pub fn ask(app: &App, challenge: &[u8], allow: Vec<String>, hints: &[&str], timeout_ms: i64) -> AssertionAsk {
    AssertionAsk {
        challenge: b64::encode(challenge),
        rp_id: app.config.rp_id(),
        allow,
        user_verification: "required".to_owned(),
        hints: hints.iter().map(|&hint| hint.to_owned()).collect(),
        timeout_ms,
    }
}

/// What an assertion is found to be.
pub enum Checked {
    /// Over this challenge, and made at our address.
    Good(Verified),
    /// The same, but for its counter: it stands still or goes back (WebAuthn L3 §6.1.1). The passkey exists twice, or
    /// this very assertion, or another made for the same challenge, was taken since the passkey was read.
    Behind,
    /// Anything else.
    Bad,
}

/// Checks what a passkey signed. Whoever finds it behind looks whether what it answers still waits, before the
/// device is told of as cloned.
pub fn check(app: &App, credential: &Credential, assertion: &Assertion, challenge: &[u8]) -> Checked {
    let rp_id = app.config.rp_id();
    let expected = webauthn::Expected {
        asked: webauthn::Asked::strictly(challenge, &app.config.issuer, &rp_id),
        key: &credential.key,
        counter: credential.counter,
        backup_eligible: credential.backup_eligible,
    };
    match webauthn::verify(assertion, &expected) {
        Ok(verified) => Checked::Good(verified),
        Err(webauthn::Fault::Counter) => Checked::Behind,
        Err(_) => Checked::Bad,
    }
}

/// A passkey that answered one of our challenges.
pub struct Judged {
    /// Whose and which it is.
    pub credential: Credential,
    /// Its counter now.
    pub counter: u32,
    /// What the challenge is kept as, for the commit that uses it up.
    pub challenge_hash: String,
}

/// Judges an answer to a challenge that was made for these two: what it is for, and who asked.
pub async fn judge(app: &App, ctx: &Context, text: &AssertionText, made_for: (&str, &str), now: Time) -> Result<Judged, Fault> {
    let bad = |why| Fault::because(Refusal::BadProof, why);
    let assertion = text.decode()?;
    let challenge = challenge_of(&assertion.client_data_json).ok_or_else(|| bad("client data"))?;
    let challenge_hash = hashed(&challenge);
    let (purpose, asker) = app.store.challenge(&challenge_hash, now).await?.ok_or_else(|| bad("challenge"))?;
    if (purpose.as_str(), asker.as_str()) != made_for {
        return Err(bad("a challenge made for another"));
    }
    let id: CredentialId = text.credential_id.parse()?;
    let credential = app.store.credential(&id).await?.filter(|c| c.live).ok_or_else(|| bad("unknown passkey"))?;
    let handle = text.user_handle.as_deref().map(b64::decode).transpose()?;
    if handle.is_some_and(|h| h != credential.person.as_str().as_bytes()) {
        return Err(bad("a user handle of another person"));
    }
    match check(app, &credential, &assertion, &challenge) {
        Checked::Good(verified) => Ok(Judged { credential, counter: verified.counter, challenge_hash }),
        Checked::Behind if app.store.challenge(&challenge_hash, now).await?.is_none() => Err(bad("challenge")),
        Checked::Behind => {
            observe::counter(app, ctx, &credential.device).await?;
            Err(bad("counter"))
        }
        Checked::Bad => Err(bad("assertion")),
    }
}

/// The challenge that the client data names; the assertion is checked against it as a whole later.
fn challenge_of(client_data: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(client_data).ok()?;
    b64::decode(value.get("challenge")?.as_str()?).ok()
}

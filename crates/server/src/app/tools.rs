//! Whether an agent may call a tool now: asked by whoever stands before the tool, with the token that the
//! agent showed and its proof (docs/workloads.md).
//!
//! 1. The token must be for the tool's server, which the asker answers for, and be shown by its key, with a
//!    proof that serves once whatever is answered. So a token that was passed on opens nothing: not at
//!    another server, not with another key.
//! 2. Token, workload, owner, device, and the person that it acts for are read again; the one gate judges the
//!    call by what is known of the device at this moment (`call`).
//! 3. Where a person is to be asked, they are: on their own device, with the call in words. What they approve
//!    serves exactly this call, once ([`super::ceremony::call`]). The asker may wait for it.
//! 4. A call that may go on is written down in a commit that rests on every version.

use super::ceremony::call::{self, Found, Offer};
use super::ceremony::Around;
use super::issue::{Asking, WorkloadVetoes, gate_workload};
use super::once::DPOP;
use super::{App, Context, Fault};
use crate::oidc::access::{Access, Standing, WorkloadAccess};
use countersign_store::{Commit, Table};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::State;
use countersign_trust::client::Client;
use countersign_trust::issuance::Product;
use countersign_trust::workload::{Behalf, Call};
use countersign_wire::dpop::{self, Fresh, ProofFault};
use countersign_wire::{CeremonyId, PersonId, Secret, Thumbprint, Time, WorkloadId, b64, jcs, mac};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Nesting of arguments that a person can be asked about.
const DEPTH: usize = 5;
/// Length of such a call, bytes.
const BYTES: usize = 1_500;

/// What is asked.
pub struct Asked<'a> {
    /// Who asks.
    pub caller: &'a Client,
    /// The agent's token.
    pub token: &'a str,
    /// Whose it is, as the asker read it.
    pub subject: &'a str,
    /// Its proof, and the URL that it is for.
    pub proof: Option<(&'a str, &'a str)>,
    /// The server of the tool: the audience.
    pub server: &'a str,
    /// The tool; `None` where something is only heard, and the token alone decides.
    pub tool: Option<&'a str>,
    /// What it is to be called with.
    pub arguments: &'a Map<String, Value>,
    /// Whether more goes along with the call than its arguments.
    pub unseen: bool,
    /// Whether whoever stands before the tool wants a person to be asked.
    pub ask: bool,
    /// The approval that was asked for before.
    pub approval: Option<&'a CeremonyId>,
    /// How long the asker waits for a person's word.
    pub wait: Duration,
}

/// The answer.
pub enum Answer {
    /// It may go on, by these rules.
    Go(Vec<String>),
    /// A person is asked; until when.
    Waits(CeremonyId, Time),
    /// It may not.
    No(Fault),
}

/// Who calls, as it was judged just now.
enum Who {
    /// An agent for itself.
    Agent(WorkloadVetoes),
    /// An agent, for a person.
    ActsFor(Standing),
    /// A person's own client.
    Person(Standing),
}

/// A token of ours, before anything is asked about it.
enum Token {
    Workload(WorkloadAccess),
    Person(Access),
}

/// What was shown: a token, and the key that it is bound to and that proved.
struct Shown {
    token: Token,
    jkt: Option<Thumbprint>,
}

/// Judges one call.
pub async fn judge(app: &App, ctx: &Context, asked: &Asked<'_>) -> Result<Answer, Fault> {
    match judged(app, ctx, asked).await {
        Err(fault) if fault.store.is_some() || matches!(fault.refusal, Refusal::Unavailable | Refusal::Clock) => Err(fault),
        Err(fault) => Ok(Answer::No(fault)),
        answer => answer,
    }
}

async fn judged(app: &App, ctx: &Context, asked: &Asked<'_>) -> Result<Answer, Fault> {
    let shown = read(app, asked)?;
    match (&shown.jkt, asked.proof) {
        (Some(jkt), Some((text, url))) => prove(app, asked, text, url, jkt, ctx.now).await?,
        (Some(_), None) => return Err(Fault::because(Refusal::BadProof, "a bound token without a proof")),
        (None, _) => {}
    }
    let shown = &shown;
    let answer = app.judged_anew(|n| async move { attempt(app, &ctx.anew(app, n), asked, shown, asked.approval).await }).await?;
    let Answer::Waits(id, _) = &answer else { return Ok(answer) };
    if asked.wait.is_zero() {
        return Ok(answer);
    }
    decided(app, id, asked.wait).await?;
    // Whatever happened meanwhile: everything is read again.
    app.judged_anew(|n| async move { attempt(app, &ctx.anew(app, n + 1), asked, shown, Some(id)).await }).await
}

/// Until a person said something, or for as long as may be waited.
async fn decided(app: &App, id: &CeremonyId, most: Duration) -> Result<(), Fault> {
    let Some(mut wait) = app.hub.wait(id) else { return Ok(()) };
    let said = async {
        while let Some(State::Opened(_) | State::Scanned(_) | State::Confirmed(_)) = app.store.ceremony(id).await?.map(|c| c.state) {
            wait.changed().await;
        }
        Ok(())
    };
    let said = tokio::time::timeout(most, said).await;
    drop(wait);
    app.hub.forget(id);
    said.unwrap_or(Ok(()))
}

async fn attempt(app: &App, ctx: &Context, asked: &Asked<'_>, shown: &Shown, approval: Option<&CeremonyId>) -> Result<Answer, Fault> {
    let now = ctx.now;
    let (who, scopes) = standing(app, &shown.token, now).await?;
    let Some(tool) = asked.tool else { return Ok(Answer::Go(Vec::new())) };
    let ask = asked.ask || who.asks(tool);
    if ask && asked.unseen {
        return Err(Fault::because(Refusal::Malformed, "a call with more than a person would be shown"));
    }
    let digest = digest(&who, asked, tool, ask)?;
    // What carries no key is told apart by the call alone.
    let key = shown.jkt.clone().unwrap_or_else(|| Thumbprint::from_digest(&mac::h(digest.as_bytes())));
    let found = if ask { call::find(app, who.person(), &key, &digest, approval, now).await? } else { Found::None };
    let approved = matches!(found, Found::Approved(_));
    let plain = plain(asked.arguments);
    let asking = |approved| Asking {
        audience: asked.server,
        scopes: &scopes,
        bound: shown.jkt.is_some(),
        behalf: None,
        call: Some(Call { tool, arguments: &plain, ask, approved }),
    };
    // Nobody is asked about what may not go on whatever they say.
    let with_their_word = who.gate(app, asking(true), now)?;
    let policies = match if approved { Ok(with_their_word) } else { who.gate(app, asking(false), now) } {
        Ok(policies) => policies,
        // Nothing but a person's word is missing.
        Err(fault) if fault.refusal == Refusal::Pending && ask => {
            return Ok(match found {
                Found::Waits(id, until) => Answer::Waits(id, until),
                Found::Over(why) => Answer::No(Fault::because(why, "a call that was not approved")),
                _ => {
                    let (id, until) = call::open(app, ctx, offer(app, &who, asked, tool, key, &digest)?).await?;
                    Answer::Waits(id, until)
                }
            });
        }
        Err(fault) => return Err(fault),
    };
    let mut record = app.event(Kind::ToolCalled, &ctx.txn, now).fact("tool", tool).fact("server", asked.server).fact("call", digest.as_str()).fact("asked", ask);
    record = record.fact("policies", policies.clone());
    who.tell(&mut record);
    let (guards, before) = (who.guards(), shown.until().min(who.until()));
    if let Found::Approved(c) = &found {
        record.txn.clone_from(&c.opening.txn);
        call::spend(app, ctx, c, Around { events: vec![record], guards, before: Some(before), ..Around::default() }).await?;
    } else {
        let mut commit = Commit::new(record);
        commit.guards(guards).before(before);
        app.commit(commit).await?;
    }
    if let Some(id) = who.workload() {
        app.uses.called(id, tool, now);
    }
    Ok(Answer::Go(policies))
}

/// The token, for this server and of the subject that the asker read; and the key that it is bound to.
fn read(app: &App, asked: &Asked<'_>) -> Result<Shown, Fault> {
    let no = |why| Fault::because(Refusal::Denied, why);
    if !asked.caller.introspects.iter().any(|a| a == asked.server) {
        return Err(no("a server that the asker does not answer for"));
    }
    let (token, all, is_for, bound) = if let Some(access) = WorkloadAccess::read(app, asked.token) {
        let (all, is_for, bound) = (access.all.clone(), access.is_for(asked.server), access.claims.cnf.as_ref().map(|b| b.jkt.clone()));
        (Token::Workload(access), all, is_for, bound)
    } else {
        let access = Access::read(app, asked.token).ok_or(Fault::because(Refusal::Gone, "not an access token of this server"))?;
        let (all, is_for, bound) = (access.all.clone(), access.is_for(asked.server), access.claims.cnf.as_ref().map(|b| b.jkt.clone()));
        (Token::Person(access), all, is_for, bound)
    };
    if !is_for {
        return Err(no("a token for another server"));
    }
    if all.get("sub").and_then(Value::as_str) != Some(asked.subject) {
        return Err(no("another subject than the token's"));
    }
    let jkt = bound.map(|jkt| jkt.parse().map_err(|_| Fault::from(Refusal::Malformed))).transpose()?;
    Ok(Shown { token, jkt })
}

/// Whose token it is, judged again; and with which scopes.
async fn standing(app: &App, token: &Token, now: Time) -> Result<(Who, Vec<String>), Fault> {
    match token {
        Token::Workload(access) => Ok((Who::Agent(access.permit(app, now).await?), access.scopes())),
        Token::Person(access) => {
            let standing = access.standing(app, Product::Decision, &[], now).await?;
            let scopes = standing.permit.scopes().to_vec();
            Ok((if access.is_delegated() { Who::ActsFor(standing) } else { Who::Person(standing) }, scopes))
        }
    }
}

/// The proof is for the tool's server and this token, by the key that it is bound to, and is used up.
async fn prove(app: &App, asked: &Asked<'_>, text: &str, url: &str, jkt: &Thumbprint, now: Time) -> Result<(), Fault> {
    let bad = |why| Fault::because(Refusal::BadProof, why);
    if url != asked.server {
        return Err(bad("a proof for another address"));
    }
    let keys = app.keys.k_live();
    let keys: Vec<&[u8]> = keys.iter().map(Secret::expose).collect();
    let request = dpop::Request { method: "POST", url, token: Some(asked.token), body: None, now, fresh: Fresh::Nonce(&keys) };
    let proof = dpop::verify(text, &request).map_err(|fault| match fault {
        ProofFault::UseNonce => Fault::because(Refusal::UseDpopNonce, "no live nonce"),
        ProofFault::Bad(why) => bad(why),
    })?;
    if proof.jkt != *jkt {
        return Err(bad("a proof by another key"));
    }
    if !app.store.burn_first(DPOP, &proof.name(), proof.burn_until).await? {
        return Err(bad("a proof that was used before"));
    }
    Ok(())
}

/// What tells this call from every other. Where a person is asked, it must read the same everywhere.
fn digest(who: &Who, asked: &Asked<'_>, tool: &str, ask: bool) -> Result<String, Fault> {
    let whole = json!({
        "who": who.name(), "for": who.person().as_str(), "server": asked.server, "tool": tool, "arguments": asked.arguments,
    });
    let bytes = match jcs::encode(&whole, DEPTH, BYTES) {
        Ok(bytes) => bytes,
        Err(_) if ask => return Err(Fault::because(Refusal::Malformed, "arguments that cannot be shown to a person")),
        Err(_) => serde_json::to_vec(&whole).map_err(|_| Fault::from(Refusal::Malformed))?,
    };
    Ok(b64::encode(&mac::labelled("countersign/tool-call", &bytes)))
}

/// Plain arguments, as rules see them.
fn plain(arguments: &Map<String, Value>) -> Vec<String> {
    let one = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Some(format!("{name}={text}")),
        Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
        _ => None,
    };
    arguments.iter().filter_map(one).take(64).collect()
}

fn offer<'a>(app: &App, who: &'a Who, asked: &Asked<'a>, tool: &str, jkt: Thumbprint, digest: &'a str) -> Result<Offer<'a>, Fault> {
    let detail = json!({
        "type": "tool_call", "tool": tool, "server": asked.server, "agent": who.shown(), "arguments": asked.arguments,
    });
    let detail = app.details.call(&detail).map_err(|why| Fault::because(Refusal::Malformed, why))?;
    let host = url::Url::parse(asked.server).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
    Ok(Offer { caller: asked.caller, host, person: who.person(), agent: who.shown(), source: who.name(), jkt, digest, detail })
}

impl Shown {
    /// The token's own end.
    fn until(&self) -> Time {
        match &self.token {
            Token::Workload(access) => access.until(),
            Token::Person(access) => access.until(),
        }
    }
}

impl Who {
    /// The workload that calls, if one does.
    fn vetoes(&self) -> Option<&WorkloadVetoes> {
        match self {
            Who::Agent(vetoes) => Some(vetoes),
            Who::ActsFor(standing) => standing.actors.last(),
            Who::Person(_) => None,
        }
    }
    fn workload(&self) -> Option<&WorkloadId> {
        self.vetoes().map(|v| &v.stored.workload.id)
    }
    /// Who is asked: whom it acts for, or who answers for it.
    fn person(&self) -> &PersonId {
        match self {
            Who::Agent(vetoes) => &vetoes.owner.id,
            Who::ActsFor(standing) | Who::Person(standing) => standing.permit.person(),
        }
    }
    /// The id of whatever calls.
    fn name(&self) -> &str {
        match self {
            Who::Person(standing) => standing.grant.client.as_str(),
            _ => self.workload().map_or("", WorkloadId::as_str),
        }
    }
    /// Its name for people.
    fn shown(&self) -> &str {
        match self {
            Who::Person(standing) => standing.vetoes.client.as_ref().map_or("", |c| c.client.name.as_str()),
            _ => self.vetoes().map_or("", |v| v.stored.workload.facts.name.as_str()),
        }
    }
    /// Whether a person is asked for this tool.
    fn asks(&self, tool: &str) -> bool {
        let agent = self.vetoes().and_then(|v| v.stored.workload.facts.agent.as_ref());
        agent.is_some_and(|agent| agent.ask.iter().any(|t| t == tool))
    }
    /// The one gate.
    fn gate(&self, app: &App, asking: Asking<'_>, now: Time) -> Result<Vec<String>, Fault> {
        let gone = || Fault::because(Refusal::Denied, "no client");
        match self {
            Who::Agent(vetoes) => Ok(gate_workload(app, vetoes, &asking, now)?.1),
            Who::ActsFor(standing) => {
                let client = &standing.vetoes.client.as_ref().ok_or_else(gone)?.client;
                let vetoes = standing.actors.last().ok_or_else(gone)?;
                let behalf = Some(Behalf { permit: &standing.permit, facts: &standing.facts, client, depth: standing.actors.len() });
                Ok(gate_workload(app, vetoes, &Asking { behalf, ..asking }, now)?.1)
            }
            // Their session was judged with the token; what is left is their word for this call.
            Who::Person(_) if asking.call.is_some_and(|call| call.ask && !call.approved) => {
                Err(Fault::because(Refusal::Pending, "a person is to be asked"))
            }
            Who::Person(_) => Ok(Vec::new()),
        }
    }
    fn tell(&self, record: &mut Event) {
        if let Some(vetoes) = self.vetoes() {
            let w = &vetoes.stored.workload;
            record.facts.insert("workload".into(), w.id.as_str().into());
            record.client = Some(w.client.clone());
            record.device = vetoes.device.as_ref().map(|d| d.id.clone());
        }
        if let Who::ActsFor(standing) | Who::Person(standing) = self {
            record.session = Some(standing.session.facts.id.clone());
            record.person = Some(standing.permit.person().clone());
            record.device.get_or_insert_with(|| standing.session.facts.device.clone());
        }
    }
    fn guards(&self) -> Vec<(Table, String, i64)> {
        match self {
            Who::Agent(vetoes) => vetoes.guards(),
            Who::ActsFor(standing) | Who::Person(standing) => standing.guards(),
        }
    }
    /// Until when it may act at all.
    fn until(&self) -> Time {
        match self {
            Who::Agent(vetoes) => vetoes.until(),
            Who::ActsFor(standing) | Who::Person(standing) => standing.until(),
        }
    }
}

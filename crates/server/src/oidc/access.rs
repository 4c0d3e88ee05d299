//! An access token of ours that comes back: what it says, and whether it still counts. One with which a
//! workload acts for a person counts as long as the person's own would, and each workload of its chain may.

use super::jwt::{self, Audience};
use crate::app::issue::{Asking, Ground, Vetoes, WorkloadVetoes, facts, gate_in_session, gate_workload};
use crate::app::{App, Context, Fault, observe};
use countersign_store::{Commit, Table, Write};
use countersign_trust::Refusal;
use countersign_trust::client::Client;
use countersign_trust::grant::Grant;
use countersign_trust::issuance::{Permit, Product};
use countersign_trust::policy::Facts;
use countersign_trust::session::Session;
use countersign_trust::workload::Behalf;
use countersign_wire::dpop::NumericDate;
use countersign_wire::{ClientId, GrantId, PersonId, SessionId, Time, TokenId, WorkloadId};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What an access token says, as far as the server asks.
#[derive(Deserialize)]
pub struct Claims {
    iss: String,
    aud: Audience,
    sub: PersonId,
    exp: NumericDate,
    jti: TokenId,
    scope: String,
    sid: SessionId,
    /// The grant it came from.
    pub grant_id: GrantId,
    /// Whom it was made for.
    pub client_id: ClientId,
    /// The key it is bound to.
    #[serde(default)]
    pub cnf: Option<Bound>,
    /// Who acts for the person, where somebody does.
    #[serde(default)]
    act: Option<Actor>,
    /// The tokens it came from by exchange, the person's own first.
    #[serde(default)]
    chain: Vec<TokenId>,
}

/// Who acts for a person, and for whom it does (RFC 8693 §4.1): the last one stands outermost.
#[derive(Deserialize)]
pub struct Actor {
    sub: WorkloadId,
    #[serde(default)]
    act: Option<Box<Actor>>,
}

/// RFC 7800 §3.1, RFC 9449 §6.1.
#[derive(Deserialize)]
pub struct Bound {
    /// Thumbprint of the key.
    pub jkt: String,
}

/// What an access token of ours says, if it says all that its kind must.
fn read<T: serde::de::DeserializeOwned>(app: &App, text: &str) -> Option<(T, Map<String, Value>)> {
    let own = app.keys.verify_own(text)?;
    let ours = own.typ.as_deref() == Some(jwt::ACCESS);
    ours.then(|| Some((own.claims.read().ok()?, own.claims.read().ok()?))).flatten()
}

/// An access token that this server signed; whether it counts is still to be asked.
pub struct Access {
    /// What the server asks of it.
    pub claims: Claims,
    /// All it says.
    pub all: Map<String, Value>,
}

impl Access {
    /// Reads one; `None` if it is not an access token of this server.
    pub fn read(app: &App, text: &str) -> Option<Access> {
        let (claims, all) = read::<Claims>(app, text)?;
        (claims.iss == app.config.issuer).then_some(Access { claims, all })
    }

    /// Whom it speaks for.
    pub fn person(&self) -> &PersonId {
        &self.claims.sub
    }
    /// The session it speaks for.
    pub fn session(&self) -> &SessionId {
        &self.claims.sid
    }
    /// When the person's own token was made, to the millisecond: this one, or what it came from.
    pub fn made(&self) -> Time {
        self.claims.chain.first().unwrap_or(&self.claims.jti).made()
    }
    /// Its own id.
    pub fn id(&self) -> &TokenId {
        &self.claims.jti
    }
    /// The tokens it came from, and itself.
    pub fn lineage(&self) -> Vec<TokenId> {
        self.claims.chain.iter().chain([&self.claims.jti]).cloned().collect()
    }
    /// When it runs out.
    pub fn until(&self) -> Time {
        Time::from_seconds(self.claims.exp.seconds())
    }
    /// Whether somebody acts for the person with it.
    pub fn is_delegated(&self) -> bool {
        self.claims.act.is_some()
    }
    /// Its scopes.
    pub fn scopes(&self) -> Vec<String> {
        words(&self.claims.scope)
    }
    /// Whom it is for, besides this server itself.
    pub fn audiences<'a>(&'a self, issuer: &'a str) -> impl Iterator<Item = &'a str> {
        let all = match &self.claims.aud {
            Audience::One(one) => std::slice::from_ref(one),
            Audience::List(list) => list.as_slice(),
        };
        all.iter().map(String::as_str).filter(move |a| *a != issuer)
    }
    /// Whether there is anything to give back, of one with which somebody acts.
    pub async fn is_open(&self, app: &App, now: Time) -> Result<bool, Fault> {
        is_open(app, &self.claims.jti, &self.claims.exp, now).await
    }
    /// What gives it back.
    pub fn given_back(&self) -> Write {
        given_back(&self.claims.jti, &self.claims.exp)
    }
    /// Whether `audience` is among those it was made for.
    pub fn is_for(&self, audience: &str) -> bool {
        self.claims.aud.has(audience)
    }

    /// It was shown from where this request came, by a client that may run where its session's screen is. A workload
    /// that acts for the person is elsewhere.
    pub async fn seen(&self, app: &App, ctx: &Context, client: &Client) -> Result<(), Fault> {
        if self.is_delegated() {
            return Ok(());
        }
        if let Some(session) = app.store.session(&self.claims.sid).await? {
            observe::client(app, ctx, client, session).await?;
        }
        Ok(())
    }

    /// Whether it counts now: its time, its grant, its session, and the one gate.
    pub async fn permit(&self, app: &App, product: Product, now: Time) -> Result<Permit, Fault> {
        Ok(self.standing(app, product, &[], now).await?.permit)
    }

    /// The same, with all that was read for it. `details` are types of authorization details that go along.
    pub async fn standing(&self, app: &App, product: Product, details: &[String], now: Time) -> Result<Standing, Fault> {
        let dead = |why| Fault::because(Refusal::Gone, why);
        let c = &self.claims;
        if now.seconds() >= c.exp.seconds() {
            return Err(dead("a token that has expired"));
        }
        let grant = app.store.grant(&c.grant_id).await?.ok_or(dead("a token of no grant"))?;
        let of_grant = self.is_delegated() || grant.client == c.client_id;
        if !grant.counts(self.made(), now) || grant.session != c.sid || !of_grant {
            return Err(dead("a token that was revoked"));
        }
        let session = app.store.session(&c.sid).await?.ok_or(dead("no session"))?;
        if session.facts.person != c.sub {
            return Err(dead("a session of another person"));
        }
        let scopes = self.scopes();
        let ground = Ground::of(&session, &[], &scopes).about(details.to_vec());
        let (permit, vetoes) = gate_in_session(app, product, &grant.client, &session, &ground, now).await?;
        let seen = facts(&vetoes, &ground, now);
        let standing = Standing { permit, vetoes, facts: seen, grant, session, actors: Vec::new() };
        self.with_actors(app, standing, now).await
    }

    /// Whoever acts for the person may do so now, each by what it was handed.
    async fn with_actors(&self, app: &App, mut standing: Standing, now: Time) -> Result<Standing, Fault> {
        let dead = |why| Fault::because(Refusal::Gone, why);
        let c = &self.claims;
        let mut actors: Vec<&WorkloadId> = std::iter::successors(c.act.as_ref(), |a| a.act.as_deref()).map(|a| &a.sub).collect();
        actors.reverse();
        // The first of the chain is the person's own token, which the grant answers for.
        let held: Vec<&TokenId> = c.chain.iter().chain([&c.jti]).skip(1).collect();
        let audience = c.aud.only().filter(|_| actors.len() == held.len());
        let client = standing.vetoes.client.as_ref().map(|c| &c.client);
        if actors.is_empty() && c.chain.is_empty() {
            return Ok(standing);
        }
        let (Some(audience), Some(client)) = (audience, client) else { return Err(dead("a chain that is none")) };
        for (depth, (id, token)) in (1..).zip(actors.into_iter().zip(held)) {
            if app.store.is_burnt(GIVEN_BACK, token.as_str()).await? {
                return Err(dead("a token that was given back"));
            }
            let stored = app.store.workload(id).await?.ok_or(dead("no workload"))?;
            if token.made() < stored.access_after {
                return Err(dead("a token that was revoked"));
            }
            let vetoes = WorkloadVetoes::of(app, stored).await?;
            let behalf = Behalf { permit: &standing.permit, facts: &standing.facts, client, depth };
            let asking = Asking { audience, scopes: standing.permit.scopes(), bound: c.cnf.is_some(), behalf: Some(behalf), call: None };
            gate_workload(app, &vetoes, &asking, now)?;
            standing.actors.push(vetoes);
        }
        Ok(standing)
    }
}

/// A person's token that counts, with all that this rests on.
pub struct Standing {
    /// The gate's.
    pub permit: Permit,
    /// Person, device, passkey and client.
    pub vetoes: Vetoes,
    /// What policy saw of them.
    pub facts: Facts,
    /// Its grant.
    pub grant: Grant,
    /// Its session.
    pub session: Session,
    /// Whoever acts for the person, the first one first.
    pub actors: Vec<WorkloadVetoes>,
}

impl Standing {
    /// Whatever rests on it holds only if nothing of it has moved.
    pub fn guard(&self, commit: &mut Commit) {
        commit.before(self.until()).guards(self.guards());
    }
    /// Until when it counts at most: the grant, the session, and whoever acts.
    pub fn until(&self) -> Time {
        let own = self.grant.until.min(self.session.idle_until);
        self.actors.iter().map(WorkloadVetoes::until).fold(own, Time::min)
    }
    /// The versions of all of it.
    pub fn guards(&self) -> Vec<(Table, String, i64)> {
        let mut all = self.vetoes.guards();
        all.push((Table::Session, self.session.facts.id.to_string(), self.session.version));
        all.push((Table::Grant, self.grant.id.to_string(), self.grant.version));
        all.extend(self.actors.iter().flat_map(WorkloadVetoes::guards));
        all
    }
}

fn words(list: &str) -> Vec<String> {
    list.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

async fn is_open(app: &App, id: &TokenId, exp: &NumericDate, now: Time) -> Result<bool, Fault> {
    Ok(now.seconds() < exp.seconds() && !app.store.is_burnt(GIVEN_BACK, id.as_str()).await?)
}

fn given_back(id: &TokenId, exp: &NumericDate) -> Write {
    Write::burnt(GIVEN_BACK, id.as_str(), Time::from_seconds(exp.seconds() + 1))
}

/// What a workload's token says, as far as the server asks. Neither kind of token reads as the other:
/// a person's has a session and no `workload`, this one has no session.
#[derive(Deserialize)]
pub struct WorkloadClaims {
    iss: String,
    aud: String,
    sub: WorkloadId,
    exp: NumericDate,
    jti: TokenId,
    #[serde(default)]
    scope: String,
    workload: Map<String, Value>,
    /// Whom it was made for.
    pub client_id: ClientId,
    /// The key it is bound to.
    #[serde(default)]
    pub cnf: Option<Bound>,
}

/// A workload's token that this server signed; whether it counts is still to be asked.
pub struct WorkloadAccess {
    /// What the server asks of it.
    pub claims: WorkloadClaims,
    /// All it says.
    pub all: Map<String, Value>,
}

/// What tokens that were given back are kept under, until they would have run out.
const GIVEN_BACK: &str = "workload-token";

impl WorkloadAccess {
    /// Reads one; `None` if it is none of this server.
    pub fn read(app: &App, text: &str) -> Option<WorkloadAccess> {
        let (claims, all) = read::<WorkloadClaims>(app, text)?;
        let ours = claims.iss == app.config.issuer && !claims.workload.is_empty() && !all.contains_key("sid");
        ours.then_some(WorkloadAccess { claims, all })
    }
    /// Whether it was made for `audience`.
    pub fn is_for(&self, audience: &str) -> bool {
        self.claims.aud == audience
    }
    /// Whether it carries this scope.
    pub fn has(&self, scope: &str) -> bool {
        self.claims.scope.split(' ').any(|s| s == scope)
    }
    /// Its own id.
    pub fn id(&self) -> &TokenId {
        &self.claims.jti
    }
    /// Whose it is.
    pub fn workload(&self) -> &WorkloadId {
        &self.claims.sub
    }
    /// Whether there is anything to give back.
    pub async fn is_open(&self, app: &App, now: Time) -> Result<bool, Fault> {
        is_open(app, &self.claims.jti, &self.claims.exp, now).await
    }
    /// What gives it back.
    pub fn given_back(&self) -> Write {
        given_back(&self.claims.jti, &self.claims.exp)
    }

    /// Its scopes.
    pub fn scopes(&self) -> Vec<String> {
        words(&self.claims.scope)
    }
    /// Whom it is for.
    pub fn audience(&self) -> &str {
        &self.claims.aud
    }
    /// When it runs out.
    pub fn until(&self) -> Time {
        Time::from_seconds(self.claims.exp.seconds())
    }

    /// Whether it counts now: its time, its workload, and the one gate.
    pub async fn permit(&self, app: &App, now: Time) -> Result<WorkloadVetoes, Fault> {
        let dead = |why| Fault::because(Refusal::Gone, why);
        let c = &self.claims;
        if !self.is_open(app, now).await? {
            return Err(dead("a token that has expired or was given back"));
        }
        let stored = app.store.workload(&c.sub).await?.ok_or(dead("no workload"))?;
        if c.jti.made() < stored.access_after || stored.workload.client != c.client_id {
            return Err(dead("a token that was revoked"));
        }
        let vetoes = WorkloadVetoes::of(app, stored).await?;
        let asking = Asking { audience: &c.aud, scopes: &self.scopes(), bound: c.cnf.is_some(), behalf: None, call: None };
        gate_workload(app, &vetoes, &asking, now)?;
        Ok(vetoes)
    }
}

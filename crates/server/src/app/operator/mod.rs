//! The operator's page: what an operator sees ([`see`]) and takes away ([`act`]).
//!
//! 1. The page is a client of our own ([`client`]). Somebody signs in to it as to any other: a phone approves, or a
//!    passkey on the screen. There is no code and no token; the session of that screen is all there is.
//! 2. Every request shows the session's key and passes the gate anew, and then [`operator::permit`]: a role that was
//!    taken away, a session that rests or a device that fell is known at the next request.
//! 3. An act is recorded before it is done, under the operator's pseudonym and held to the facts that allow it. Then
//!    the same functions do it as for a person's own phone or at the console.

pub mod act;
pub mod see;

use super::issue::{Ground, Vetoes, gate_in_session};
use super::once::{burn, refuse_if_burnt};
use super::{App, Context, Fault, sessions};
use countersign_store::{Commit, Table};
use countersign_store::sql::RequestFacts;
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::client::Client;
use countersign_trust::issuance::Product;
use countersign_trust::limits;
use countersign_trust::operator::{self, Wish};
use countersign_trust::session::Session;
use countersign_wire::dpop::Proof;
use countersign_wire::statement::Boundary;
use countersign_wire::{ClientId, PersonId, RequestId, b64};
use serde_json::json;

/// Where the page is.
pub const PATH: &str = "/operator";

fn id() -> Result<ClientId, Fault> {
    operator::CLIENT.parse().map_err(|_| Fault::from(Refusal::Unavailable))
}

/// The page as a client: its boundary is the session, so no code and no token is ever made for it.
pub fn client(issuer: &str) -> Result<Client, Fault> {
    let registered = json!({
        "id": operator::CLIENT,
        "name": "The operator's page",
        "redirect_uris": [format!("{issuer}{PATH}")],
        "scopes": [operator::SCOPE],
        "privileged_scopes": [operator::SCOPE],
        "boundary": Boundary::Session,
        "session_s": limits::UNKNOWN_SESSION_S,
    });
    serde_json::from_value(registered).map_err(|_| Fault::because(Refusal::Unavailable, "the operator's page"))
}

/// What a browser asks for that goes to sign in here; `again` asks for a new approval of a session that runs.
pub fn request(app: &App, ctx: &Context, again: bool) -> Result<RequestFacts, Fault> {
    Ok(RequestFacts {
        id: RequestId::new(ctx.now, app.id10()),
        txn: ctx.txn.clone(),
        client: id()?,
        redirect_uri: format!("{}{PATH}", app.config.issuer),
        state: None,
        nonce: None,
        scopes: vec!["openid".to_owned(), operator::SCOPE.to_owned()],
        resource: None,
        details: Vec::new(),
        code_challenge: None,
        dpop_jkt: None,
        acr_values: Vec::new(),
        prompt: Vec::new(),
        person: None,
        id_claims: Vec::new(),
        max_age_s: again.then_some(0),
        response_mode: "query".to_owned(),
        hash: b64::encode(&app.random::<32>()),
        at: ctx.now,
    })
}

/// Somebody who may use the page now.
pub struct Operator {
    /// Who, by pseudonym.
    pub person: PersonId,
    /// The session of their screen.
    pub session: Session,
    vetoes: Vetoes,
}

impl Operator {
    /// Judges a request by the cookie of its screen's session and a proof by that session's key.
    pub async fn load(app: &App, ctx: &Context, cookie: &str, proof: &Proof, wish: Wish) -> Result<Operator, Fault> {
        app.in_order()?;
        let session = sessions::of_terminal(app, ctx, cookie, proof).await?;
        if !session.facts.clients.contains(&id()?) {
            return Err(Fault::because(Refusal::NoSession, "a session of another application"));
        }
        sessions::unclaimed(app, &session).await?;
        Operator::judge(app, ctx, session, wish).await
    }

    async fn judge(app: &App, ctx: &Context, session: Session, wish: Wish) -> Result<Operator, Fault> {
        let now = app.now();
        let scopes = [operator::SCOPE.to_owned()];
        let ground = Ground::of(&session, &[], &scopes);
        let (permit, vetoes) = gate_in_session(app, Product::Decision, &id()?, &session, &ground, now).await?;
        operator::permit(wish, &permit, &vetoes.person, &session, now)
            .map_err(|refusal| Fault::because(refusal, "not an operator here and now"))?;
        ctx.known_as("session", session.facts.id.as_str());
        Ok(Operator { person: vetoes.person.id.clone(), session, vetoes })
    }

    /// The same a moment later.
    pub async fn still(&self, app: &App, ctx: &Context, wish: Wish) -> Result<Operator, Fault> {
        let session = app.store.session(&self.session.facts.id).await?;
        let session = session.ok_or(Fault::because(Refusal::NoSession, "over"))?;
        Operator::judge(app, ctx, session, wish).await
    }

    /// An event of this operator.
    fn event(&self, app: &App, ctx: &Context, kind: Kind) -> Event {
        app.event(kind, &ctx.txn, ctx.now).fact("by", self.person.as_str()).fact("from", self.session.facts.id.as_str())
    }

    /// Writes down what this operator is about to do, held to what allows it, which is judged anew where it moved
    /// meanwhile; the proof of an act is used up with it. The person's own activity keeps the session awake.
    async fn record(&self, app: &App, ctx: &Context, event: Event, proof: Option<&Proof>) -> Result<(), Fault> {
        let (event, wish) = (&event, if proof.is_some() { Wish::Act } else { Wish::Look });
        app.judged_anew(|n| async move {
            let mut commit = Commit::new(event.clone());
            if let Some(proof) = proof {
                refuse_if_burnt(app, n, proof).await?;
                commit.write(burn(proof));
            }
            let again = if n > 0 { Some(self.still(app, ctx, wish).await?) } else { None };
            let by = again.as_ref().unwrap_or(self);
            commit.guard(Table::Session, by.session.facts.id.as_str(), by.session.version);
            by.vetoes.guard(&mut commit);
            Ok(app.commit(commit).await?)
        })
        .await?;
        app.store.session_seen(&self.session.facts.id, self.session.next_idle(ctx.now)).await?;
        Ok(())
    }
}

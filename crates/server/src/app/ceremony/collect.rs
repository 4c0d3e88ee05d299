//! Ceremonies that a client opens and collects by itself (RFC 8628; OpenID CIBA Core 1.0): the same
//! states, the same statement, the same gate. What differs is who comes for the result.
//!
//! 1. [`begin`] opens one. The collector is a secret of 256 bits, and the client's key if it showed one.
//! 2. A person's device meets, confirms and decides as ever ([`super::scan`], [`super::decide`]).
//! 3. [`find`] knows the secret again, for its own client alone; [`collect`] takes what was approved
//!    through the gate, once. What comes with it goes into the same commit ([`Collected::keep`]).

use super::open::{Beginning, Minted, Opener, begun, may_begin, offer, room};
use super::redeem::{claimed_at_once, here, origins, pass, setting, shown};
use super::{Around, keep};
use crate::app::issue::Vetoes;
use crate::app::once::{burn, hashed};
use crate::app::sessions::{self, Begun as Opened, By, Started};
use crate::app::{App, Context, Fault};
use crate::config::Origin;
use crate::oidc::ping;
use countersign_store::sql::{Counter, Named, StoredClient};
use countersign_store::{Commit, Table, Write};
use countersign_trust::{Refusal, limits};
use countersign_trust::ceremony::collect::{Binding, ClientGrant, Collects};
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::ceremony::{Approved, Ceremony, End, Opening, State, Step};
use countersign_trust::client::ClientAuth;
use countersign_trust::issuance::Product;
use countersign_trust::policy::Denied;
use countersign_trust::session::Session;
use countersign_trust::verdict::Setting;
use countersign_wire::dpop::Proof;
use countersign_wire::secret::same;
use countersign_wire::statement::{Asked, Asker, Purpose};
use countersign_wire::{CeremonyId, ClientId, PersonId, SessionId, Thumbprint, Time, b64, code, mac};

/// Every question with the right secret and key is the same one: the proof beside it is new each time.
const QUESTION: &str = "token";

/// What a client asks for.
#[derive(Clone)]
pub struct Asking<'a> {
    /// Who asks.
    pub client: &'a StoredClient,
    /// What for.
    pub asked: Asked,
    /// Classes asked for.
    pub acr_values: Vec<String>,
    /// How it collects.
    pub collects: Collects,
    /// Its key.
    pub proof: Option<&'a Proof>,
    /// Whom it is offered to: the only one who may approve.
    pub offer: Option<&'a Named>,
    /// The word by which the client knows us when we tell it that there is something to collect.
    pub ping: Option<&'a str>,
    /// Digits that the person types, and that the client shows.
    pub digits: Option<&'a str>,
    /// Address of the screen in front of the person, as far as it is known.
    pub address: String,
    /// Kind of terminal, for the statement.
    pub kind: &'static str,
}

/// What a client is told.
pub struct Begun {
    /// `device_code` or `auth_req_id`.
    pub code: String,
    /// What a person types, hyphenated.
    pub user_code: String,
}

/// Opens one. `around` is what the request itself uses up.
pub async fn begin(app: &App, ctx: &Context, asking: Asking<'_>, around: Around) -> Result<Begun, Fault> {
    let now = ctx.now;
    let client = &asking.client.client;
    let txn = app.txn(now);
    let what = Beginning {
        client: Some(client),
        purpose: Purpose::SignIn,
        details: &asking.asked.details,
        met: None,
        collector: Some(asking.collects.by),
        txn: &txn,
    };
    let may = may_begin(app, ctx, &what).await?;
    // Without a key of its own nothing may ever pass for the terminal's.
    let jkt = asking.proof.map_or_else(|| Thumbprint::from_digest(&app.random()), |p| p.jkt.clone());
    // Who authenticated is counted by its name; a backend asks for many people from one address.
    let by_source = client.auth == ClientAuth::None;
    // Whoever is asked by name is asked by the client, from whatever network: "not me" stops it everywhere.
    let source = if asking.offer.is_some() { format!("client/{}", client.id) } else { ctx.source() };
    let budgets = room(app, ctx, &jkt, &client.id, &source, by_source.then_some(source.as_str())).await?;
    let minted = Minted::new(app, &Opener::Program, now)?;
    let code = format!("{}.{}", minted.id, minted.collector.as_deref().unwrap_or_default());
    let push = asking.offer.is_some();
    let person = asking.offer.map(|named| named.person.id.clone());
    let Offered { to, writes: places } = match asking.offer {
        Some(named) => offered(app, named, &client.id, &source, &jkt, &minted.id, now).await?,
        None => Offered::default(),
    };
    let ping = asking.ping.map(|token| ping::sealed(app, &minted.id, token, &code)).transpose()?;
    let binding = asking.digits.map(|digits| Binding {
        digits: u8::try_from(digits.len()).unwrap_or(u8::MAX),
        mac: digits_mac(minted.k.1.expose(), &minted.id, digits),
    });
    let opening = Opening {
        id: minted.id.clone(),
        txn,
        purpose: Purpose::SignIn,
        flow: None,
        asker: Asker { id: client.id.clone(), name: client.name.clone(), redirect_host: host(client.redirect_uris.first()) },
        boundary: client.boundary,
        asked: asking.asked,
        acr_values: asking.acr_values,
        jkt,
        collector_hash: minted.collector_hash.clone(),
        terminal_kind: asking.kind.to_owned(),
        agent: ctx.agent.clone(),
        source,
        address: asking.address,
        k: minted.k.0,
        offered: to,
        push,
        person,
        recovers: None,
        vouches: None,
        raises: None,
        collects: Some(Collects { binding, ping, ..asking.collects }),
        terminal: None,
        badge: None,
        at: now,
    };
    let (ceremony, event) = begun(app, opening, may);
    let mut commit = Commit::new(event);
    let code_hash = hashed(minted.user_code.as_bytes());
    commit.write(Write::ceremony_opened(&ceremony, &hashed(&minted.handle), (!push).then_some(code_hash.as_str())));
    commit.writes(budgets.iter().map(Write::counted)).writes(asking.proof.map(burn));
    commit.writes(places);
    commit.guard(Table::Client, client.id.as_str(), asking.client.version);
    commit.also((around.writes, around.events)).guards(around.guards);
    app.commit(commit).await?;
    Ok(Begun { code, user_code: code::hyphenated(&minted.user_code) })
}

/// Whether a person is asked now, and what that takes.
#[derive(Default)]
struct Offered {
    to: Option<PersonId>,
    writes: Vec<Write>,
}

/// Whom this person stopped, or left unanswered again and again, asks on in silence: it waits for an answer
/// that does not come, and nothing is shown to anybody.
async fn offered(
    app: &App, named: &Named, client: &ClientId, source: &str, jkt: &Thumbprint, id: &CeremonyId, now: Time,
) -> Result<Offered, Fault> {
    let person = &named.person.id;
    let unanswered = unanswered(person, client, now);
    let quiet = app.store.is_stopped(source, jkt.as_str(), client.as_str(), Some(person), now).await?
        || app.store.used(&unanswered).await? >= unanswered.limit;
    if quiet {
        return Ok(Offered::default());
    }
    let (to, mut writes) = offer(app, &named.login, client, id, now).await?;
    writes.push(Write::counted(&unanswered));
    Ok(Offered { to, writes })
}

/// Counts what a client asked a person that they did not approve.
fn unanswered(person: &PersonId, client: &ClientId, now: Time) -> Counter {
    Counter::new("unanswered", &format!("{person}/{client}"), 3_600, limits::UNANSWERED_HOUR, now)
}

/// Digits of a client's own, as they are kept: they can be compared, and not be read.
pub fn digits_mac(k: &[u8], id: &CeremonyId, digits: &str) -> String {
    b64::encode(&mac::m(k, "binding", &[id.as_str().as_bytes(), digits.as_bytes()]))
}

fn host(uri: Option<&String>) -> String {
    uri.and_then(|u| url::Url::parse(u).ok()).and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default()
}

/// The ceremony that a client brings the secret of. One answer for everything that is not its own.
pub async fn find(app: &App, text: &str, grant: ClientGrant, client: &StoredClient, key: Option<&Thumbprint>) -> Result<Ceremony, Fault> {
    let dead = |why| Fault::because(Refusal::Gone, why);
    let (id, secret) = text.split_once('.').ok_or(dead("not of the form of ours"))?;
    let id: CeremonyId = id.parse().map_err(|_| dead("not of the form of ours"))?;
    let c = app.store.ceremony(&id).await?.ok_or(dead("unknown"))?;
    let own = c.opening.collects.as_ref().is_some_and(|c| c.by.grant == grant);
    if !own || !same(c.opening.collector_hash.as_bytes(), hashed(secret.as_bytes()).as_bytes()) {
        return Err(dead("unknown, or of another grant"));
    }
    if c.opening.asker.id != client.client.id {
        return Err(dead("of another client"));
    }
    if is_bound(&c) && key != Some(&c.opening.jkt) {
        return Err(dead("another key than it began with"));
    }
    Ok(c)
}

/// Whether only the key that began it may collect.
pub fn is_bound(c: &Ceremony) -> bool {
    c.opening.collects.as_ref().is_some_and(|c| c.by.bound)
}

/// What was approved, taken: everything but the tokens.
pub struct Collected {
    /// The session that it gives.
    pub session: Session,
    /// What could veto it.
    pub vetoes: Vetoes,
    step: Step,
    around: Around,
}

/// Takes it. Where there is nothing to take yet, or any more, the state answers.
pub async fn collect(app: &App, ctx: &Context, c: &Ceremony) -> Result<Collected, Fault> {
    let State::Approved(approved) = &c.state else { return Err(not_there(app, ctx, c).await?) };
    let approved = &match c.opening.collects.as_ref().map(|c| c.by.grant) {
        // A server's address says nothing about the person's screen, whatever it is when it collects.
        Some(ClientGrant::Ciba) => approved.clone(),
        _ => here(ctx, c, approved),
    };
    let scan = &approved.scan;
    let vetoes = Vetoes::load(app, &scan.person, &scan.device, &approved.credential, Some(&c.opening.asker.id)).await?;
    let (permit, allowed) = match pass(app, ctx, c, approved, &vetoes, Product::Session).await {
        Ok(passed) => passed,
        Err(fault) => return Err(refused(app, ctx, c, fault).await?),
    };
    let setting = setting(app, &vetoes, c, scan);
    let id = SessionId::new(ctx.now, app.id10());
    let passed = Passed { allowed: &allowed, setting: &setting, near: &scan.near };
    let step = claimed_at_once(c.redeem(QUESTION, Some(id.clone()), Ok(passed), ctx.now));
    if let Err(refusal) = step.answer {
        keep(app, ctx, c, step, Around::default()).await?;
        return Err(refusal.into());
    }
    let Opened { session, write, event, .. } = sessions::begin(app, &permit, &vetoes, started(c, approved, id, &setting, origins(app, ctx, c)), None, ctx.now);
    let vetoes = vetoes.in_session(app, &session, ctx.now).await?;
    let mut around = Around::by(&scan.person, &scan.device);
    around.guards.extend(vetoes.guards());
    around.also((vec![write], vec![event]));
    if c.opening.push {
        around.writes.push(Write::uncounted(&unanswered(&scan.person, &c.opening.asker.id, c.opening.at)));
    }
    Ok(Collected { session, vetoes, step, around })
}

fn started(c: &Ceremony, approved: &Approved, id: SessionId, setting: &Setting, origins: Vec<Origin>) -> Started {
    Started {
        id,
        txn: c.opening.txn.clone(),
        by: By::Ceremony(c.opening.id.clone()),
        jkt: c.opening.jkt.clone(),
        earned: approved.earned,
        attested: approved.attested,
        auth_time: approved.at,
        session_s: approved.scan.rights.session_s,
        agent: c.opening.agent.clone(),
        shown: shown(c, approved, setting),
        collector: c.opening.collects.as_ref().map(|c| c.by),
        timed: approved.scan.rights.timed.clone(),
        origins,
        terminal: None,
    }
}

impl Collected {
    /// Keeps it with what was made of it, or nothing at all.
    pub async fn keep(mut self, app: &App, ctx: &Context, c: &Ceremony, also: Around) -> Result<(), Fault> {
        self.around.guards.extend(also.guards);
        self.around.before = self.around.before.into_iter().chain(also.before).min();
        self.around.also((also.writes, also.events));
        keep(app, ctx, c, self.step, self.around).await
    }
}

/// The gate says no: it ends, and nothing was given.
pub async fn refused(app: &App, ctx: &Context, c: &Ceremony, fault: Fault) -> Result<Fault, Fault> {
    if fault.store.is_some() {
        return Err(fault);
    }
    let step = c.redeem(QUESTION, None, Err(&Denied::of(fault.refusal)), ctx.now);
    let told = keep(app, ctx, c, step, Around::default()).await;
    match told {
        Err(other) if other.store.is_some() => Err(other),
        _ => Ok(Fault { recorded: true, ..fault }),
    }
}

/// Not approved, or collected before: a second collection takes back what the first gave, unless it
/// comes at once, as from a client whose answer was lost.
async fn not_there(app: &App, ctx: &Context, c: &Ceremony) -> Result<Fault, Fault> {
    let late = c.deadline().is_some_and(|end| ctx.now >= end);
    if c.is_pending() && !late && !app.polls.may_ask(&c.opening.id, c.ceiling(), ctx.now) {
        // Counted in the metrics; a line for each would bury the rest.
        return Ok(Fault::because(Refusal::SlowDown, "asked too early").recorded());
    }
    let step = c.redeem(QUESTION, None, Err(&Denied::of(Refusal::Denied)), ctx.now);
    match keep(app, ctx, c, step, Around::default()).await {
        Err(fault) if fault.store.is_some() => Err(fault),
        Err(fault) if fault.refusal == Refusal::Pending => Ok(fault.recorded()),
        // Given up because policy refused every device that came: to the client that is a refusal.
        Err(_) if matches!(&c.state, State::Ended(e) if e.end == End::Abandoned) => Ok(Refusal::Denied.into()),
        Err(fault) => Ok(fault),
        Ok(()) => Ok(Refusal::Pending.into()),
    }
}

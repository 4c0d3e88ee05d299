//! Step 1: a terminal opens a ceremony with a key it made for this opening alone.

use super::{Around, ended_along};
use crate::app::once::{burn, hashed, refuse_if_burnt};
use crate::app::people::{is_login, name_of};
use crate::app::issue::on_terminal;
use crate::app::noise::{self, What};
use crate::app::terminals::{self, Met};
use crate::app::{App, Context, Fault, badges, sessions, vouch};
use countersign_store::sql::{Badge, Counter};
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::collect::{Collector, Collects};
use countersign_trust::ceremony::{Ceremony, Opening, Raises};
use countersign_trust::client::Client;
use countersign_trust::policy::{Facts, MayBegin, OWN};
use countersign_trust::{Refusal, detail, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{Open, Opened};
use countersign_wire::statement::{Asked, Asker, Boundary, Detail, Purpose};
use countersign_wire::{
    CeremonyId, ClientId, PersonId, RequestId, Secret, Thumbprint, Time, TxnId, b64, code, frame, limits as protocol, mac,
};

/// Who opens: a browser by its cookie, or a program without one.
#[derive(Clone, Debug)]
pub enum Opener {
    /// The cookie's value.
    Browser(String),
    /// A program that keeps a collector instead.
    Program,
}

/// What is asked, whichever way in.
struct Wanted {
    purpose: Purpose,
    flow: Option<RequestId>,
    asker: Asker,
    boundary: Boundary,
    asked: Asked,
    acr_values: Vec<String>,
    person: Option<PersonId>,
    txn: TxnId,
    recovers: Option<PersonId>,
    vouches: Option<PersonId>,
    raises: Option<Raises>,
    terminal: Option<Met>,
    badge: Option<Badge>,
    guards: Vec<(Table, String, i64)>,
    /// As registered; `None` where Countersign itself asks.
    client: Option<Client>,
}

impl Wanted {
    fn beginning(&self) -> Beginning<'_> {
        Beginning {
            client: self.client.as_ref(),
            purpose: self.purpose,
            details: &self.asked.details,
            met: self.terminal.as_ref(),
            collector: None,
            txn: &self.txn,
        }
    }
}

/// What is made for one opening. Of handle, collector and typed code the store keeps only hashes.
pub(super) struct Minted {
    pub(super) id: CeremonyId,
    pub(super) handle: [u8; 16],
    /// For a program, which has no cookie.
    pub(super) collector: Option<String>,
    pub(super) collector_hash: String,
    pub(super) user_code: String,
    pub(super) k: (i64, Secret),
}

impl Minted {
    pub(super) fn new(app: &App, opener: &Opener, now: Time) -> Result<Minted, Fault> {
        let (collector, kept) = match opener {
            Opener::Browser(cookie) => (None, cookie.clone()),
            Opener::Program => {
                let made = b64::encode(&app.random::<32>());
                (Some(made.clone()), made)
            }
        };
        Ok(Minted {
            id: CeremonyId::new(now, app.id10()),
            handle: app.random(),
            collector_hash: hashed(kept.as_bytes()),
            collector,
            user_code: (0..4).find_map(|_| code::user_code(&app.random::<24>())).ok_or(Refusal::Unavailable)?,
            k: app.keys.k(),
        })
    }
}

/// Opens a ceremony. `proof` is by the terminal's fresh key, or by the key of the session that
/// `cookie` names, which is then raised.
pub async fn open(
    app: &App,
    ctx: &Context,
    opener: &Opener,
    proof: &Proof,
    cookie: Option<&str>,
    body: &Open,
) -> Result<Opened, Fault> {
    app.judged_anew(|attempt| attempt_open(app, ctx, opener, proof, cookie, body, attempt)).await
}

pub(crate) async fn attempt_open(
    app: &App,
    ctx: &Context,
    opener: &Opener,
    proof: &Proof,
    cookie: Option<&str>,
    body: &Open,
    attempt: usize,
) -> Result<Opened, Fault> {
    refuse_if_burnt(app, attempt, proof).await?;
    let now = ctx.now;
    let terminal = match body.counter {
        Some(counter) => Some(terminals::opens(app, ctx, proof, counter).await?),
        None if app.store.terminal_by_key(&proof.jkt).await?.is_some() => {
            return Err(Fault::because(Refusal::Denied, "a terminal's key without its counter"));
        }
        None => None,
    };
    let mut wanted = wanted(app, ctx, opener, body, terminal).await?;
    if let Some(login) = &body.without_phone {
        vouched(app, body, login, &mut wanted).await?;
    }
    if !body.badge.is_empty() {
        worn(app, ctx, body, &mut wanted).await?;
    }
    if body.raise {
        raise(app, ctx, proof, cookie, &mut wanted).await?;
    }
    let may = may_begin(app, ctx, &wanted.beginning()).await?;
    // The key of a session that is raised served before, when it began; a lost race is no reason to refuse it. A
    // registered terminal's always did.
    let fresh = wanted.raises.is_none() && wanted.terminal.is_none();
    if attempt > 0 && fresh && app.store.is_burnt("tk", proof.jkt.as_str()).await? {
        return Err(Fault::because(Refusal::BadProof, "a terminal key that served before"));
    }
    // A registered terminal has a budget of its own, as a shop's screens share an address.
    let who = wanted.terminal.as_ref().map_or_else(|| ctx.source(), |m| m.terminal.id.to_string());
    let budgets = room(app, ctx, &proof.jkt, &wanted.asker.id, &who, Some(&who)).await?;
    let minted = Minted::new(app, opener, now)?;
    let (offered, places) = match &body.offer {
        Some(login) => offer(app, login, &wanted.asker.id, &minted.id, now).await?,
        None => (wanted.person.clone().filter(|_| wanted.badge.is_some()), Vec::new()),
    };
    let read = wanted.badge.as_ref().map(Write::badge_used);
    let mut around = Around { guards: std::mem::take(&mut wanted.guards), ..Around::default() };
    abandon_previous(app, ctx, &minted.collector_hash, body.prev.as_deref(), &mut around).await?;
    let counted = wanted.terminal.as_ref().zip(body.counter).map(|(m, counter)| Write::terminal_opened(&m.terminal.id, counter, now));
    around.guards.extend(wanted.terminal.as_ref().map(|m| on_terminal(&m.terminal)));
    let (ceremony, mut event) = begun(app, Opening { offered, push: body.offer.is_some(), ..opening(ctx, proof, &minted, wanted) }, may);
    let o = &ceremony.opening;
    if let Some(device) = &o.badge {
        event = event.fact("badge", true);
        event.device = Some(device.clone());
        event.person = o.person.clone();
    }
    let mut commit = Commit::new(event);
    commit.write(match o.raises {
        // A fresh key serves one opening, so the proof that names it needs no record of its own.
        None if !o.purpose.is_own() && o.terminal.is_none() => Write::burnt("tk", proof.jkt.as_str(), now.plus_s(86_400)),
        // The key of a session, of a registered terminal, or the one that a new device will keep, whose code is
        // shown anew.
        _ => burn(proof),
    });
    let code_hash = hashed(minted.user_code.as_bytes());
    commit.write(Write::ceremony_opened(&ceremony, &hashed(&minted.handle), Some(&code_hash)));
    commit.writes(budgets.iter().map(Write::counted)).writes(places).writes(counted).writes(read);
    commit.also((around.writes, around.events)).guards(around.guards);
    app.commit(commit).await?;
    let ck = frame::channel_key(minted.k.1.expose(), o.id.as_str(), o.jkt.as_str());
    Ok(Opened {
        cid: o.id.to_string(),
        handle: b64::encode(&minted.handle),
        ck: b64::encode(&ck),
        user_code: code::hyphenated(&minted.user_code),
        t_ms: app.now().ms_since(now),
        left_ms: if o.push { protocol::PUSH_S } else { protocol::OPENED_S } * 1_000,
        collector: minted.collector,
    })
}

/// A running session of the same terminal key is raised rather than followed by another.
async fn raise(app: &App, ctx: &Context, proof: &Proof, cookie: Option<&str>, wanted: &mut Wanted) -> Result<(), Fault> {
    if wanted.purpose != Purpose::SignIn {
        return Ok(());
    }
    let found = sessions::to_raise(app, ctx, true, cookie, proof, &wanted.asker.id).await?;
    if let Some(session) = found.filter(|s| wanted.person.as_ref().is_none_or(|p| *p == s.facts.person)) {
        let f = session.facts;
        wanted.purpose = Purpose::StepUp;
        wanted.guards.push((Table::Session, f.id.to_string(), session.version));
        wanted.raises = Some(Raises { session: f.id, person: f.person });
    }
    Ok(())
}

/// A terminal that opens for whoever showed it their phone's badge. It is one opening's, and for that phone alone.
async fn worn(app: &App, ctx: &Context, body: &Open, wanted: &mut Wanted) -> Result<(), Fault> {
    if wanted.terminal.is_none() || body.offer.is_some() {
        return Err(Fault::because(Refusal::Malformed, "badges are for registered terminals, and name nobody else"));
    }
    let (badge, device) = badges::read(app, ctx, &body.badge).await?;
    if wanted.person.as_ref().is_some_and(|p| *p != device.person) {
        return Err(Fault::because(Refusal::Denied, "another person than the request is for"));
    }
    wanted.guards.push((Table::Device, device.id.to_string(), device.version));
    wanted.person = Some(device.person);
    wanted.badge = Some(badge);
    Ok(())
}

/// Somebody without a phone says who they are; whoever scans vouches for them.
async fn vouched(app: &App, body: &Open, login: &str, wanted: &mut Wanted) -> Result<(), Fault> {
    let malformed = || Fault::because(Refusal::Malformed, "without a phone: at registered terminals, and nothing else is named");
    let met = wanted.terminal.as_ref().ok_or_else(malformed)?;
    if body.offer.is_some() || body.raise || !body.badge.is_empty() || wanted.purpose != Purpose::SignIn {
        return Err(malformed());
    }
    let stored = app.client(&wanted.asker.id).await?.ok_or(Refusal::Denied)?;
    let (vouches, asked) = vouch::asked(app, &stored.client, login, &met.at.plate, &wanted.asked, &wanted.acr_values).await?;
    if wanted.person.is_some() && wanted.person != vouches {
        return Err(Fault::because(Refusal::Denied, "another person than the request is for"));
    }
    // The person whom a request names would be the only one who may approve.
    wanted.person = None;
    (wanted.purpose, wanted.vouches, wanted.asked) = (Purpose::Vouch, vouches, asked);
    Ok(())
}

/// What is known of whatever wants to begin.
pub(in crate::app) struct Beginning<'a> {
    /// For whom; `None` where Countersign itself asks.
    pub client: Option<&'a Client>,
    /// What for.
    pub purpose: Purpose,
    /// What is asked beside scopes.
    pub details: &'a [Detail],
    /// At which registered terminal.
    pub met: Option<&'a Met>,
    /// The client that would collect.
    pub collector: Option<Collector>,
    /// Transaction of the log.
    pub txn: &'a TxnId,
}

/// Whether policy lets it begin at all: every ceremony, and a passkey on the screen. Who will approve is not known yet.
pub(in crate::app) async fn may_begin(app: &App, ctx: &Context, what: &Beginning<'_>) -> Result<MayBegin, Fault> {
    let &Beginning { client, purpose, details, met, collector, txn } = what;
    let facts = Facts::opening(client, purpose, detail::types(details), met.map(|m| (&m.terminal, m.at.stands)), ctx.now).collected(collector);
    let denied = match app.policies.current().opens(&facts) {
        Ok(may) => return Ok(may),
        Err(denied) => denied,
    };
    noise::admit(app, ctx, What::Refusal, denied.refusal.code())?;
    let mut event = terminals::not_here(app, ctx, txn, met, &denied);
    event.client = client.map(|c| c.id.clone());
    app.commit(Commit::new(event)).await?;
    Err(Fault::because(denied.refusal, "policy").recorded())
}

/// A ceremony that begins, and its record.
pub(super) fn begun(app: &App, opening: Opening, may: MayBegin) -> (Ceremony, Event) {
    let ceremony = Ceremony::open(opening, may);
    let o = &ceremony.opening;
    let mut event = app
        .event(Kind::CeremonyOpened, &o.txn, o.at)
        .fact("purpose", o.purpose.as_str())
        .fact("boundary", o.boundary.as_str())
        .fact("push", o.push);
    event.ceremony = Some(o.id.clone());
    event.client = super::client_of(&ceremony);
    if let Some(at) = &o.terminal {
        event = event.fact("terminal", at.id.as_str());
    }
    if let Some(Collects { by, .. }) = &o.collects {
        event = event.fact("grant", by.grant.as_str()).fact("collector", by.as_str()).fact("quiet", o.push && o.offered.is_none());
    }
    (ceremony, event)
}

/// Whether there is room to open for this client now: the budgets that the commit counts. `who` has one of its own.
pub(super) async fn room(
    app: &App,
    ctx: &Context,
    jkt: &Thumbprint,
    client: &ClientId,
    source: &str,
    who: Option<&str>,
) -> Result<Vec<Counter>, Fault> {
    let mut budgets = vec![Counter::new("open/client", client.as_str(), 60, limits::OPENS_PER_CLIENT_MIN, ctx.now)];
    budgets.extend(who.map(|who| Counter::new("open/source", who, 60, limits::OPENS_PER_SOURCE_MIN, ctx.now)));
    for budget in &budgets {
        if app.store.used(budget).await? >= budget.limit {
            return Err(Fault::because(Refusal::TooMany, "opens"));
        }
    }
    if app.store.is_stopped(source, jkt.as_str(), client.as_str(), None, ctx.now).await? {
        return Err(Fault::because(Refusal::Denied, "source in quarantine"));
    }
    Ok(budgets)
}

fn opening(ctx: &Context, proof: &Proof, minted: &Minted, wanted: Wanted) -> Opening {
    Opening {
        id: minted.id.clone(),
        txn: wanted.txn,
        purpose: wanted.purpose,
        flow: wanted.flow,
        asker: wanted.asker,
        boundary: wanted.boundary,
        asked: wanted.asked,
        acr_values: wanted.acr_values,
        jkt: proof.jkt.clone(),
        collector_hash: minted.collector_hash.clone(),
        terminal_kind: if minted.collector.is_none() { "browser" } else { "console" }.to_owned(),
        agent: ctx.agent.clone(),
        source: ctx.source(),
        address: ctx.address.to_string(),
        k: minted.k.0,
        offered: None,
        push: false,
        person: wanted.person,
        recovers: wanted.recovers,
        vouches: wanted.vouches,
        raises: wanted.raises,
        collects: None,
        terminal: wanted.terminal.map(|m| m.at),
        badge: wanted.badge.map(|b| b.device),
        at: ctx.now,
    }
}

async fn wanted(app: &App, ctx: &Context, opener: &Opener, body: &Open, terminal: Option<Met>) -> Result<Wanted, Fault> {
    if body.kiosk {
        return match terminal {
            Some(met) if body.flow.is_none() && body.purpose.is_none() && body.offer.is_none() && !body.raise => kiosk_wanted(app, ctx, met).await,
            _ => Err(Fault::because(Refusal::Malformed, "an idle screen is a registered terminal's, and names nothing else")),
        };
    }
    if let Some(purpose) = &body.purpose {
        if body.flow.is_some() || body.offer.is_some() || terminal.is_some() {
            return Err(Fault::because(Refusal::Malformed, "purpose"));
        }
        return match (purpose.as_str(), &body.login) {
            ("enrol-device", None) => enrol_wanted(app, ctx, body),
            ("recover", Some(login)) => recover_wanted(app, ctx, login).await,
            _ => Err(Fault::because(Refusal::Malformed, "purpose")),
        };
    }
    let none = || Fault::because(Refusal::NoSuchFlow, "no flow, or no browser");
    let (Some(flow), Opener::Browser(browser)) = (&body.flow, opener) else { return Err(none()) };
    let request = sessions::open_request(app, flow, browser, ctx.now).await?;
    let client = app.client(&request.facts.client).await?.ok_or_else(none)?;
    if client.client.disabled {
        return Err(Fault::because(Refusal::Denied, "client disabled"));
    }
    let redirect_host = url::Url::parse(&request.facts.redirect_uri)
        .ok()
        .and_then(|u| u.host_str().map(str::to_owned))
        .unwrap_or_default();
    Ok(Wanted {
        purpose: Purpose::SignIn,
        flow: Some(request.facts.id.clone()),
        asker: Asker { id: client.client.id.clone(), name: client.client.name.clone(), redirect_host },
        boundary: client.client.boundary,
        asked: Asked {
            hash: request.facts.hash.clone(),
            scopes: request.facts.scopes.clone(),
            details: request.facts.details.clone(),
            message: None,
        },
        acr_values: request.facts.acr_values.clone(),
        person: request.facts.person.clone(),
        txn: request.facts.txn.clone(),
        recovers: None,
        vouches: None,
        raises: None,
        terminal,
        badge: None,
        guards: vec![
            (Table::Request, request.facts.id.to_string(), request.version),
            (Table::Client, client.client.id.to_string(), client.version),
        ],
        client: Some(client.client),
    })
}

/// What the idle screen of a terminal's class signs people in to. There is no request yet: the client's own will be
/// answered by the session.
async fn kiosk_wanted(app: &App, ctx: &Context, met: Met) -> Result<Wanted, Fault> {
    let none = || Fault::because(Refusal::NoSuchFlow, "nothing is configured for the idle screen of this class");
    let kiosk = app.config.terminals.class(&met.terminal.facts.class).and_then(|c| c.kiosk).ok_or_else(none)?;
    let client = app.client(&kiosk.client).await?.ok_or_else(none)?;
    if client.client.disabled {
        return Err(Fault::because(Refusal::Denied, "client disabled"));
    }
    let asked = format!("{} {}", kiosk.client, kiosk.scopes.join(" "));
    let host = url::Url::parse(&kiosk.start).ok().and_then(|u| u.host_str().map(str::to_owned));
    Ok(Wanted {
        purpose: Purpose::SignIn,
        flow: None,
        asker: Asker { id: client.client.id.clone(), name: client.client.name.clone(), redirect_host: host.unwrap_or_default() },
        boundary: client.client.boundary,
        asked: Asked {
            hash: b64::encode(&mac::labelled("countersign/kiosk", asked.as_bytes())),
            scopes: kiosk.scopes,
            details: Vec::new(),
            message: None,
        },
        acr_values: Vec::new(),
        person: None,
        txn: app.txn(ctx.now),
        recovers: None,
        vouches: None,
        raises: None,
        terminal: Some(met),
        badge: None,
        guards: vec![(Table::Client, client.client.id.to_string(), client.version)],
        client: Some(client.client),
    })
}

fn enrol_wanted(app: &App, ctx: &Context, body: &Open) -> Result<Wanted, Fault> {
    let name = name_of(body.name.as_deref().unwrap_or_default())?;
    own_wanted(app, ctx, Purpose::EnrolDevice, mac::labelled("countersign/enrol-device", name.as_bytes()), Some(name.to_owned()))
}

/// Somebody without a device wants to come back. A name that nobody has opens alike; whoever scans it
/// is told that it can't be approved.
async fn recover_wanted(app: &App, ctx: &Context, login: &str) -> Result<Wanted, Fault> {
    let named = if is_login(login) { app.store.person_by_login(login).await? } else { None };
    let hash = mac::labelled("countersign/recover", login.as_bytes());
    let wanted = own_wanted(app, ctx, Purpose::Recover, hash, named.as_ref().map(|n| n.name.clone()))?;
    Ok(Wanted { recovers: named.map(|n| n.person.id), ..wanted })
}

/// What this server itself asks.
fn own_wanted(app: &App, ctx: &Context, purpose: Purpose, hash: [u8; 32], message: Option<String>) -> Result<Wanted, Fault> {
    let id: ClientId = OWN.parse()?;
    Ok(Wanted {
        purpose,
        flow: None,
        asker: Asker { id, name: app.config.organisation.clone(), redirect_host: app.config.rp_id() },
        boundary: Boundary::Approval,
        asked: Asked {
            hash: b64::encode(&hash),
            scopes: Vec::new(),
            details: Vec::new(),
            message,
        },
        acr_values: Vec::new(),
        person: None,
        txn: app.txn(ctx.now),
        recovers: None,
        vouches: None,
        raises: None,
        terminal: None,
        badge: None,
        guards: Vec::new(),
        client: None,
    })
}

/// Whom a push is offered to, and what it takes: its share of an hour's budget, a place for this
/// client and one of a few in all. Places stand under the name that was typed, whether anybody has
/// it or not, and are left when the ceremony ends: the answers tell nothing about names.
pub(super) async fn offer(
    app: &App,
    login: &str,
    client: &ClientId,
    ceremony: &CeremonyId,
    now: Time,
) -> Result<(Option<PersonId>, Vec<Write>), Fault> {
    let name = hashed(login.as_bytes());
    let hour = Counter::new("push/login", &name, 3_600, limits::PUSHES_PER_PERSON_HOUR, now);
    if app.store.used(&hour).await? >= hour.limit {
        return Err(Fault::because(Refusal::TooMany, "pushes"));
    }
    let taken = app.store.push_places(&name, now).await?;
    let own = format!("{name}/client/{client}");
    let free = (0..limits::PUSHES_WAITING).map(|n| format!("{name}/{n}")).find(|place| !taken.contains(place));
    let (false, Some(free)) = (taken.contains(&own), free) else {
        return Err(Fault::because(Refusal::TooMany, "a request is waiting already"));
    };
    let person = if is_login(login) { app.store.person_by_login(login).await? } else { None };
    let until = now.plus_s(protocol::CEREMONY_MAX_S);
    let place = |id: &str| Write::push_place_taken(id, &name, ceremony, now, until);
    let mut writes = vec![Write::counted(&hour), place(&own), place(&free)];
    // Phones are told of it by a job, which looks whose they are: nothing here depends on that.
    writes.extend(app.config.push.as_ref().map(|_| Write::push_owed(ceremony, now)));
    Ok((person.map(|named| named.person.id), writes))
}

/// The ceremony a page replaces ends in the same commit; only its own browser can name it.
async fn abandon_previous(
    app: &App,
    ctx: &Context,
    collector_hash: &str,
    prev: Option<&str>,
    around: &mut Around,
) -> Result<(), Fault> {
    let Some(prev) = prev else { return Ok(()) };
    let id: CeremonyId = prev.parse()?;
    if let Some(c) = app.store.ceremony(&id).await?
        && c.opening.collector_hash == collector_hash
        && c.is_pending()
    {
        let step = c.abandon("renewed", ctx.now);
        around.also(ended_along(app, &c, &step, ctx.now).await?);
    }
    Ok(())
}

//! Step 1: a terminal opens a ceremony with a key it made for this opening alone.

use super::{Around, ended_along};
use crate::app::once::{hashed, refuse_if_burnt};
use crate::app::once::burn;
use crate::app::people::is_login;
use crate::app::{App, Context, Fault, sessions};
use countersign_store::sql::Counter;
use countersign_store::{Commit, Table, Write};
use countersign_trust::audit::Kind;
use countersign_trust::ceremony::{Ceremony, Opening, Raises};
use countersign_trust::policy::OWN;
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::Proof;
use countersign_wire::message::{Open, Opened};
use countersign_wire::statement::{Asked, Asker, Boundary, Purpose};
use countersign_wire::{
    CeremonyId, ClientId, PersonId, RequestId, b64, code, frame, jcs, limits as protocol, mac,
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
    txn: countersign_wire::TxnId,
    device_name: Option<String>,
    guard: Vec<(Table, String, i64)>,
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

async fn attempt_open(
    app: &App,
    ctx: &Context,
    opener: &Opener,
    proof: &Proof,
    cookie: Option<&str>,
    body: &Open,
    attempt: usize,
) -> Result<Opened, Fault> {
    refuse_if_burnt(app, attempt, proof).await?;
    if attempt > 0 && app.store.is_burnt("tk", proof.jkt.as_str()).await? {
        return Err(Fault::because(Refusal::BadProof, "a terminal key that served before"));
    }
    let now = ctx.now;
    let browser_hash = match opener {
        Opener::Browser(b) => Some(hashed(b.as_bytes())),
        Opener::Program => None,
    };
    let mut wanted = wanted(app, ctx, browser_hash.as_deref(), body).await?;
    let raised = match wanted.purpose {
        Purpose::SignIn => sessions::to_raise(app, ctx, cookie, proof, &wanted.asker.id).await?,
        _ => None,
    };
    let raised = raised.filter(|s| wanted.person.as_ref().is_none_or(|p| *p == s.facts.person));
    if let Some(session) = &raised {
        wanted.purpose = Purpose::StepUp;
        wanted.guard.push((Table::Session, session.facts.id.to_string(), session.version));
    }
    let source = ctx.source();
    let budgets = [
        Counter::new("open/source", &source, 60, limits::OPENS_PER_SOURCE_MIN, now),
        Counter::new("open/client", wanted.asker.id.as_str(), 60, limits::OPENS_PER_CLIENT_MIN, now),
    ];
    for budget in &budgets {
        if app.store.used(budget).await? >= budget.limit {
            return Err(Fault::because(Refusal::TooMany, "opens"));
        }
    }
    if app.store.is_stopped(&source, proof.jkt.as_str(), wanted.asker.id.as_str(), None, now).await? {
        return Err(Fault::because(Refusal::Denied, "source in quarantine"));
    }
    let push = body.offer.is_some();
    let id = CeremonyId::new(now, app.id10());
    let (offered, places) = match &body.offer {
        Some(login) => offer(app, login, &wanted.asker.id, &id, now).await?,
        None => (None, Vec::new()),
    };
    let (k_serial, k) = app.keys.k();
    let handle: [u8; 16] = app.random();
    let collector: [u8; 32] = app.random();
    let collector_hash = browser_hash.clone().unwrap_or_else(|| hashed(b64::encode(&collector).as_bytes()));
    let user_code = (0..4).find_map(|_| code::user_code(&app.random::<24>())).ok_or(Refusal::Unavailable)?;
    let opening = Opening {
        id: id.clone(),
        txn: wanted.txn.clone(),
        purpose: wanted.purpose,
        flow: wanted.flow,
        asker: wanted.asker,
        boundary: wanted.boundary,
        asked: wanted.asked,
        acr_values: wanted.acr_values,
        jkt: proof.jkt.clone(),
        collector_hash: collector_hash.clone(),
        terminal_kind: if browser_hash.is_some() { "browser" } else { "console" }.to_owned(),
        agent: ctx.agent.clone(),
        source,
        address: ctx.address.to_string(),
        k: k_serial,
        offered: offered.clone(),
        push,
        person: wanted.person,
        raises: raised.as_ref().map(|s| Raises { session: s.facts.id.clone(), person: s.facts.person.clone() }),
        device_name: wanted.device_name,
        at: now,
    };
    let ceremony = Ceremony::open(opening);
    let mut event = app
        .event(Kind::CeremonyOpened, &wanted.txn, now)
        .fact("purpose", wanted.purpose.as_str())
        .fact("boundary", wanted.boundary.as_str())
        .fact("push", push);
    event.ceremony = Some(id.clone());
    event.client = super::client_of(&ceremony);
    let mut commit = Commit::new(event);
    let mut around = Around { guards: wanted.guard, ..Around::default() };
    abandon_previous(app, ctx, &collector_hash, body.prev.as_deref(), &mut around).await?;
    commit.write(match raised {
        // A fresh key serves one opening, so the proof that names it needs no record of its own.
        None => Write::burnt("tk", proof.jkt.as_str(), now.plus_s(86_400)),
        Some(_) => burn(proof),
    });
    commit.write(Write::ceremony_opened(&ceremony, &hashed(&handle), Some(&hashed(user_code.as_bytes()))));
    commit.writes(budgets.iter().map(Write::counted)).writes(places);
    commit.also((around.writes, around.events)).guards(around.guards);
    app.commit(commit).await?;
    let ck = frame::channel_key(k.expose(), id.as_str(), proof.jkt.as_str());
    let left_ms = if push { protocol::PUSH_S } else { protocol::OPENED_S } * 1_000;
    Ok(Opened {
        cid: id.to_string(),
        handle: b64::encode(&handle),
        ck: b64::encode(&ck),
        user_code: code::hyphenated(&user_code),
        t_ms: app.now().ms_since(now),
        left_ms,
        collector: browser_hash.is_none().then(|| b64::encode(&collector)),
    })
}

async fn wanted(app: &App, ctx: &Context, browser_hash: Option<&str>, body: &Open) -> Result<Wanted, Fault> {
    if let Some(purpose) = &body.purpose {
        if purpose != "enrol-device" || body.flow.is_some() || body.offer.is_some() {
            return Err(Fault::because(Refusal::Malformed, "purpose"));
        }
        return enrol_wanted(app, ctx, body);
    }
    let flow: RequestId = body
        .flow
        .as_deref()
        .and_then(|f| f.parse().ok())
        .ok_or(Fault::because(Refusal::NoSuchFlow, "no flow"))?;
    let none = || Fault::because(Refusal::NoSuchFlow, "unknown, ended, or of another browser");
    let request = app.store.request(&flow).await?.ok_or_else(none)?;
    let bound = browser_hash.is_some_and(|h| h == request.browser_hash);
    if !bound || request.state != "open" || ctx.now >= request.until {
        return Err(none());
    }
    let client = app.store.client(&request.facts.client).await?.ok_or_else(none)?;
    if client.client.disabled {
        return Err(Fault::because(Refusal::Denied, "client disabled"));
    }
    let redirect_host = url::Url::parse(&request.facts.redirect_uri)
        .ok()
        .and_then(|u| u.host_str().map(str::to_owned))
        .unwrap_or_default();
    Ok(Wanted {
        purpose: Purpose::SignIn,
        flow: Some(flow),
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
        device_name: None,
        guard: vec![
            (Table::Request, request.facts.id.to_string(), request.version),
            (Table::Client, client.client.id.to_string(), client.version),
        ],
    })
}

fn enrol_wanted(app: &App, ctx: &Context, body: &Open) -> Result<Wanted, Fault> {
    let name = body.name.as_deref().map(str::trim).unwrap_or_default();
    let good = !name.is_empty() && name.chars().count() <= limits::NAME_CHARS && jcs::is_plain(name);
    if !good {
        return Err(Fault::because(Refusal::Malformed, "a device name of 1 to 80 plain characters"));
    }
    let id: ClientId = OWN.parse()?;
    Ok(Wanted {
        purpose: Purpose::EnrolDevice,
        flow: None,
        asker: Asker { id, name: app.config.organisation.clone(), redirect_host: app.config.rp_id() },
        boundary: Boundary::Approval,
        asked: Asked {
            hash: b64::encode(&mac::labelled("countersign/enrol-device", name.as_bytes())),
            scopes: Vec::new(),
            details: Vec::new(),
            message: Some(name.to_owned()),
        },
        acr_values: Vec::new(),
        person: None,
        txn: app.txn(ctx.now),
        device_name: Some(name.to_owned()),
        guard: Vec::new(),
    })
}

/// Whom a push is offered to, and what it takes: its share of an hour's budget, a place for this
/// client and one of a few in all. Places stand under the name that was typed, whether anybody has
/// it or not, and are left when the ceremony ends: the answers tell nothing about names.
async fn offer(
    app: &App,
    login: &str,
    client: &ClientId,
    ceremony: &CeremonyId,
    now: countersign_wire::Time,
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
    Ok((person.map(|named| named.person.id), vec![Write::counted(&hour), place(&own), place(&free)]))
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
        around.also(ended_along(app, &c, &step, ctx.now));
    }
    Ok(())
}

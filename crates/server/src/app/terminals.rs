//! Registered terminals: invited by the operator, joined once by their own key, and met again at every opening.
//!
//! 1. [`invite`] makes a link for a name and a place; [`look`] and [`register`] are what the terminal does with it.
//! 2. [`opens`] meets a terminal by its key, its counter and its network.
//! 3. Whatever was opened there rests on its row ([`super::issue::Vetoes::at`]).
//! 4. [`change`] moves its life on; whatever runs there ends.

use super::evidence;
use super::once::{DPOP, burn, hashed, refuse_if_burnt};
use super::people::name_of;
use super::{App, Context, Fault, devices, seats, sessions, signals};
use crate::app::ceremony::ended_along;
use countersign_store::sql::Counter;
use countersign_store::{Commit, Write};
use countersign_trust::audit::{Event, Kind};
use countersign_trust::ceremony::Opening;
use countersign_trust::session::{Session, SessionFacts};
use countersign_trust::device::DeviceState;
use countersign_trust::signal::{self, Signal, Subject};
use countersign_trust::terminal::{AtTerminal, Count, Stands, Terminal, TerminalFacts};
use countersign_trust::{Refusal, limits};
use countersign_wire::dpop::{self, Proof};
use countersign_wire::evidence::tpm;
use countersign_wire::message::{RegisterTerminal, Registered, TerminalAsked, TerminalReport, TerminalTpm};
use countersign_wire::secret::same;
use countersign_wire::{TerminalId, Thumbprint, Time, TxnId, b64};
use std::net::IpAddr;

/// A terminal that is to be, as the operator names it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Where it will stand.
    pub place: String,
    /// Its class.
    pub class: String,
    /// Its site, if its network is to be held to one.
    #[serde(default)]
    pub site: Option<String>,
}

/// A link that registers one terminal, once.
pub struct Link {
    /// The terminal.
    pub terminal: Terminal,
    /// The link.
    pub link: String,
}

/// A registered terminal as it was met.
#[derive(Clone, Debug)]
pub struct Met {
    /// The terminal.
    pub terminal: Terminal,
    /// How what is opened there will remember it.
    pub at: AtTerminal,
}

fn denied(why: &'static str) -> Fault {
    Fault::because(Refusal::Denied, why)
}

pub(super) fn event(app: &App, kind: Kind, txn: &TxnId, t: &Terminal, now: Time) -> Event {
    app.event(kind, txn, now).fact("terminal", t.id.as_str()).fact("class", t.facts.class.as_str())
}

fn facts(app: &App, w: &Wanted) -> Result<TerminalFacts, Fault> {
    if app.config.terminals.class(&w.class).is_none() {
        return Err(Fault::because(Refusal::Malformed, "no class of that name"));
    }
    if w.site.as_ref().is_some_and(|s| !app.config.terminals.sites.contains_key(s)) {
        return Err(Fault::because(Refusal::Malformed, "no site of that name"));
    }
    Ok(TerminalFacts {
        name: name_of(&w.name)?.to_owned(),
        place: name_of(&w.place)?.to_owned(),
        class: w.class.clone(),
        site: w.site.clone(),
        key: None,
        attested: false,
        signals: Vec::new(),
    })
}

/// What is wrong with a list, by the place in it; nothing is done. Whoever invites is held to the same once more.
pub async fn faults(app: &App, list: &[Wanted]) -> Result<Vec<(usize, &'static str)>, Fault> {
    let (mut found, mut names) = (Vec::new(), std::collections::HashSet::new());
    for (at, wanted) in list.iter().enumerate().take(limits::TERMINALS_AT_ONCE) {
        match facts(app, wanted) {
            Err(fault) => found.push((at, fault.because)),
            Ok(facts) => {
                let taken = app.store.terminal_by_name(&facts.name).await?;
                let now = app.now();
                if taken.is_some_and(|t| t.state != DeviceState::Pending || t.is_open(now)) {
                    found.push((at, "another terminal has this name"));
                }
                if !names.insert(facts.name) {
                    found.push((at, "a name that is in the list twice"));
                }
            }
        }
    }
    Ok(found)
}

/// Invites terminals: all of the list, or none.
pub async fn invite(app: &App, list: &[Wanted]) -> Result<Vec<Link>, Fault> {
    if list.is_empty() || list.len() > limits::TERMINALS_AT_ONCE {
        return Err(Fault::because(Refusal::Malformed, "a list of 1 to 1000 terminals"));
    }
    app.judged_anew(|_| async {
        let now = app.now();
        let txn = app.txn(now);
        let (mut links, mut writes, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for wanted in list {
            let facts = facts(app, wanted)?;
            let taken = app.store.terminal_by_name(&facts.name).await?;
            // A link that nobody used in time leaves its name.
            match taken {
                Some(old) if old.state == DeviceState::Pending && now >= old.until => writes.push(Write::terminal_moved(&old, DeviceState::Revoked)),
                Some(_) => return Err(denied("another terminal has this name")),
                None => {}
            }
            if links.iter().any(|l: &Link| l.terminal.facts.name == facts.name) {
                return Err(denied("a name that is in the list twice"));
            }
            let token = b64::encode(&app.random::<16>());
            let terminal = Terminal {
                id: TerminalId::new(now, app.id10()),
                version: 1,
                state: DeviceState::Pending,
                jkt: None,
                counter: 0,
                opened_at: None,
                added_at: now,
                until: now.plus_s(limits::TERMINAL_LINK_S),
                facts,
            };
            writes.push(Write::terminal_invited(&terminal, &hashed(token.as_bytes())));
            events.push(event(app, Kind::TerminalChanged, &txn, &terminal, now).fact("what", "invited"));
            links.push(Link { link: format!("{}/terminal#{token}", app.config.issuer), terminal });
        }
        if let Some(mut commit) = Commit::of(events) {
            commit.writes(writes);
            app.commit(commit).await?;
        }
        Ok(links)
    })
    .await
}

async fn invited(app: &App, ctx: &Context, token: &str) -> Result<Terminal, Fault> {
    let over = || Fault::because(Refusal::InvitationOver, "used, old or unknown");
    let found = app.store.terminal_by_token(&hashed(token.as_bytes())).await?.ok_or_else(over)?;
    if !found.is_open(ctx.now) {
        return Err(over());
    }
    ctx.known_as("invitation", found.id.as_str());
    Ok(found)
}

/// What a link registers; to a TPM that asks, the secret that only it can open.
pub async fn look(app: &App, ctx: &Context, proof: &Proof, sent: &RegisterTerminal) -> Result<TerminalAsked, Fault> {
    app.in_order()?;
    let t = invited(app, ctx, &sent.token).await?;
    let sealed = match &sent.tpm {
        None => None,
        Some(shown) => {
            let endorsed = endorsed(app, ctx, proof, shown)?;
            Some(evidence::sealed(app, &endorsed, &shown.nonce, &proof.jkt)?)
        }
    };
    Ok(TerminalAsked {
        plate: t.plate(),
        organisation: app.config.organisation.clone(),
        left_ms: ctx.now.ms_until(t.until),
        sealed,
    })
}

/// Holds what a TPM shows to the key that proves.
fn endorsed(app: &App, ctx: &Context, proof: &Proof, shown: &TerminalTpm) -> Result<tpm::Endorsed, Fault> {
    let live = app.keys.k_live().iter().any(|k| dpop::is_live_nonce(k.expose(), &shown.nonce, ctx.now));
    if !live {
        return Err(Fault::because(Refusal::PostureOld, "a nonce that is over"));
    }
    let public = b64::decode(&shown.public)?;
    tpm::endorsed_key(&shown.ek, &public, &proof.jwk, &app.trusted.tpm, ctx.now)
        .map_err(|fault| Fault::because(Refusal::BadEvidence, fault.as_str()))
}

/// A terminal joins with the key that proves; its link is used up.
pub async fn register(app: &App, ctx: &Context, proof: &Proof, sent: &RegisterTerminal) -> Result<Registered, Fault> {
    app.judged_anew(|n| async move {
        refuse_if_burnt(app, n, proof).await?;
        let ctx: &Context = &ctx.anew(app, n);
        let t = invited(app, ctx, &sent.token).await?;
        let mut facts = t.facts.clone();
        facts.key = Some(proof.jwk.clone());
        if let Some(shown) = &sent.tpm {
            let endorsed = endorsed(app, ctx, proof, shown)?;
            let given = b64::decode(shown.secret.as_deref().unwrap_or_default())?;
            let keys = app.keys.k_live();
            let good = keys.iter().any(|k| same(&tpm::secret(k.expose(), &endorsed, &shown.nonce, &proof.jkt), &given));
            if !good {
                return Err(Fault::because(Refusal::BadEvidence, "not the secret that was sealed"));
            }
            facts.attested = true;
        }
        if devices::is_key_taken(app, &proof.jkt).await? {
            return Err(denied("a key that another terminal or a device has"));
        }
        let stands = app.config.terminals.stands(facts.site.as_deref(), ctx.address);
        if stands == Stands::Away {
            return Err(denied("a terminal that is not at its site"));
        }
        let what = event(app, Kind::TerminalChanged, &ctx.txn, &t, ctx.now)
            .fact("what", "registered")
            .fact("attested", facts.attested);
        let mut commit = Commit::new(what);
        commit.write(burn(proof)).write(Write::terminal_registered(&t, &proof.jkt, &facts)).before(t.until);
        app.commit(commit).await?;
        let registered = Terminal { facts, ..t };
        Ok(Registered {
            terminal: registered.id.to_string(),
            plate: registered.plate(),
            kiosk: app.config.terminals.class(&registered.facts.class).is_some_and(|c| c.kiosk.is_some()),
        })
    })
    .await
}

/// A terminal as what is opened there would remember it now.
pub fn met(app: &App, terminal: Terminal, address: IpAddr) -> Met {
    let stands = app.config.terminals.stands(terminal.facts.site.as_deref(), address);
    let keyboard = app.config.terminals.class(&terminal.facts.class).is_some_and(|c| c.keyboard);
    Met { at: AtTerminal { id: terminal.id.clone(), plate: terminal.plate(), stands, keyboard, address: address.to_string() }, terminal }
}

/// The terminal that has this key. One that may not act is no unknown screen either.
pub async fn by_key(app: &App, ctx: &Context, jkt: &Thumbprint) -> Result<Option<Met>, Fault> {
    match app.store.terminal_by_key(jkt).await? {
        None => Ok(None),
        Some(t) if t.is_phone() => Err(denied("a phone is no screen")),
        Some(t) if t.is_active() => {
            ctx.known_as("terminal", t.id.as_str());
            Ok(Some(met(app, t, ctx.address)))
        }
        Some(_) => Err(denied("a terminal that does not act")),
    }
}

/// The terminal that opens, by its key and counter. A counter that stays behind is a copy's, or an old one's:
/// nobody can tell which of the two is the right one, so it is suspended.
pub async fn opens(app: &App, ctx: &Context, proof: &Proof, counter: i64) -> Result<Met, Fault> {
    let met = by_key(app, ctx, &proof.jkt).await?.ok_or(Fault::because(Refusal::BadProof, "no terminal has this key"))?;
    match met.terminal.counts(counter, ctx.now) {
        Count::On => Ok(met),
        Count::Overtaken => Err(denied("a terminal's counter did not go on")),
        Count::Behind => {
            let doubt = event(app, Kind::TerminalDoubted, &ctx.txn, &met.terminal, ctx.now)
                .fact("why", "counter")
                .fact("was", met.terminal.counter)
                .fact("is", counter)
                .fact("ref", ctx.reference.as_str());
            fell(app, &met.terminal, DeviceState::Suspended, Event { refusal: Some(Refusal::Denied), ..doubt }, ctx.now).await?;
            Err(denied("a terminal's counter went back").recorded())
        }
    }
}

/// Who says it of a terminal, where it speaks of itself.
const ITSELF: &str = "terminal";

/// A terminal says that somebody far away has it in hand, or has left. Its yes counts; its no takes back its own yes
/// and nobody else's, so many times an hour: what goes to and fro stays as it was.
pub async fn report(app: &App, ctx: &Context, proof: &Proof, sent: &TerminalReport) -> Result<(), Fault> {
    app.in_order()?;
    if !app.store.burn_first(DPOP, &proof.name(), proof.burn_until).await? {
        return Err(Fault::because(Refusal::BadProof, "a jti used before"));
    }
    let met = by_key(app, ctx, &proof.jkt).await?.ok_or(Fault::because(Refusal::BadProof, "no terminal has this key"))?;
    if met.at.stands == Stands::Away {
        return Err(denied("a terminal that is not at its site"));
    }
    let subject = Subject::Terminal(met.terminal.id.clone());
    let kind = signal::Kind::TerminalRemoteControlled;
    if sent.remote_controlled {
        let new = Signal { kind, source: ITSELF.to_owned(), at: ctx.now, until: None };
        signals::raise(app, &subject, new, &ctx.txn).await?;
        return Ok(());
    }
    let count = Counter::new("terminal/left", met.terminal.id.as_str(), 3_600, limits::REMOTE_ENDS_HOUR, ctx.now);
    if !app.store.count_first(&count).await? {
        return Err(Fault::because(Refusal::TooMany, "remote control that comes and goes"));
    }
    signals::clear(app, &subject, kind, Some(ITSELF), &ctx.txn).await?;
    Ok(())
}

/// A refusal of policy at an opening, written down with what it rested on. A terminal that is not where it belongs
/// is doubted by name.
pub fn not_here(app: &App, ctx: &Context, txn: &TxnId, met: Option<&Met>, denied: &countersign_trust::policy::Denied) -> Event {
    let away = met.filter(|m| m.at.stands == Stands::Away);
    let mut event = match away {
        Some(m) => event(app, Kind::TerminalDoubted, txn, &m.terminal, ctx.now).fact("why", "place"),
        None => app.event(Kind::StepRefused, txn, ctx.now),
    };
    event = event
        .fact("step", "open")
        .fact("policies", denied.policies.clone())
        .fact("judged", denied.judged.clone())
        .fact("ref", ctx.reference.as_str());
    if let (Some(m), None) = (met, away) {
        event = event.fact("terminal", m.terminal.id.as_str());
    }
    event.refusal = Some(denied.refusal);
    event
}

/// Whether a terminal is where it belongs, by what the operator says of it now and where it spoke last.
pub fn stands(app: &App, t: &Terminal, at: &AtTerminal) -> Stands {
    at.address.parse().map_or(at.stands, |address| app.config.terminals.stands(t.facts.site.as_deref(), address))
}

/// The terminal of a session spoke. The session as it is now: where its terminal stands is judged by that.
pub async fn spoke(app: &App, ctx: &Context, session: Session) -> Result<Session, Fault> {
    let address = &ctx.address.to_string();
    let session = &session;
    app.judged_anew(|n| async move {
        let reread = if n == 0 { None } else { app.store.session(&session.facts.id).await? };
        let session = reread.unwrap_or_else(|| session.clone());
        let at = session.facts.terminal.clone().filter(|at| at.address != *address && session.is_live(ctx.now));
        let Some(at) = at else { return Ok(session) };
        let Some(t) = app.store.terminal(&at.id).await? else { return Ok(session) };
        let here = app.config.terminals.stands(t.facts.site.as_deref(), ctx.address);
        if here == stands(app, &t, &at) {
            return Ok(session);
        }
        let facts = SessionFacts { terminal: Some(AtTerminal { address: address.clone(), ..at }), ..session.facts.clone() };
        let mut told = match here {
            Stands::Away => event(app, Kind::TerminalDoubted, &ctx.txn, &t, ctx.now).fact("why", "place").fact("step", "session"),
            Stands::Anywhere | Stands::AtSite => event(app, Kind::TerminalChanged, &ctx.txn, &t, ctx.now).fact("what", "back"),
        };
        told.session = Some(facts.id.clone());
        let mut commit = Commit::new(told);
        commit.write(Write::session_moved(&session, &facts));
        commit.write(Write::to_judge(Some(&Subject::Session(facts.id.clone())), &ctx.txn, ctx.now));
        app.commit(commit).await?;
        Ok(Session { version: session.version + 1, facts, ..session })
    })
    .await
}

/// The terminal of an opening as it is now, and whether it is where it belongs when it speaks from `address`.
pub async fn of_opening(app: &App, o: &Opening, address: Option<IpAddr>) -> Result<Option<(Terminal, Stands)>, Fault> {
    let Some(at) = &o.terminal else { return Ok(None) };
    let t = app.store.terminal(&at.id).await?.ok_or(denied("a terminal that is gone"))?;
    let here = match address {
        Some(address) => app.config.terminals.stands(t.facts.site.as_deref(), address),
        None => stands(app, &t, at),
    };
    Ok(Some((t, here)))
}

/// The operator moves a terminal's life on. Nothing that ended comes back.
pub async fn change(app: &App, name: &str, to: DeviceState) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let t = named(app, name).await?;
        let resumes = to != DeviceState::Active || t.state == DeviceState::Suspended;
        // What never joined can only be taken back.
        let fits = resumes && (t.state.may_become(to) || (t.state == DeviceState::Pending && to != DeviceState::Suspended && to != DeviceState::Active));
        if !fits {
            return Err(denied("its life does not go there"));
        }
        let now = app.now();
        let told = event(app, Kind::TerminalChanged, &app.txn(now), &t, now)
            .fact("what", "moved")
            .fact("state", to.as_str())
            .fact("was", t.state.as_str());
        fell(app, &t, to, told, now).await
    })
    .await
}

/// Keeps a move, and ends whatever runs at a terminal that may not act any more.
async fn fell(app: &App, t: &Terminal, to: DeviceState, told: Event, now: Time) -> Result<(), Fault> {
    let mut commit = Commit::new(told.clone());
    seats::along(app, t, to, &told, now, &mut commit).await?;
    falls(app, t, to, commit, now).await
}

/// The same, along with what it comes with.
pub(super) async fn falls(app: &App, t: &Terminal, to: DeviceState, mut commit: Commit, now: Time) -> Result<(), Fault> {
    commit.write(Write::terminal_moved(t, to));
    if to == DeviceState::Active {
        app.commit(commit).await?;
        return Ok(());
    }
    for c in app.store.ceremonies_at(&t.id).await? {
        let step = c.cut("terminal", now);
        commit.also(ended_along(app, &c, &step, now).await?);
    }
    app.commit(commit).await?;
    sessions::end_every(app, || app.store.sessions_at(&t.id), "terminal").await?;
    for seat in app.store.seats_on(&t.id).await? {
        sessions::end_every(app, || app.store.sessions_by_device(&seat.device.id), to.as_str()).await?;
    }
    Ok(())
}

/// A terminal gets another name, place or site. What was approved there keeps what was read.
pub async fn rename(app: &App, name: &str, new: Option<&str>, place: Option<&str>, site: Option<&str>) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let t = named(app, name).await?;
        if !matches!(t.state, DeviceState::Pending | DeviceState::Active | DeviceState::Suspended) {
            return Err(denied("a terminal that ended"));
        }
        let wanted = Wanted {
            name: new.unwrap_or(&t.facts.name).to_owned(),
            place: place.unwrap_or(&t.facts.place).to_owned(),
            class: t.facts.class.clone(),
            site: site.map(str::to_owned).or_else(|| t.facts.site.clone()),
        };
        let facts = TerminalFacts { key: t.facts.key.clone(), attested: t.facts.attested, signals: t.facts.signals.clone(), ..facts(app, &wanted)? };
        if app.store.terminal_by_name(&facts.name).await?.is_some_and(|other| other.id != t.id) {
            return Err(denied("another terminal has this name"));
        }
        let now = app.now();
        let mut commit = Commit::new(event(app, Kind::TerminalChanged, &app.txn(now), &t, now).fact("what", "renamed"));
        commit.write(Write::terminal_changed(&t, &facts));
        app.commit(commit).await?;
        Ok(())
    })
    .await
}

/// The terminal of this id or name.
pub async fn named(app: &App, name: &str) -> Result<Terminal, Fault> {
    let found = match name.parse::<TerminalId>() {
        Ok(id) => app.store.terminal(&id).await?,
        Err(_) => app.store.terminal_by_name(name).await?,
    };
    found.ok_or(Fault::because(Refusal::NoSuchThing, "no such terminal"))
}

/// Every terminal, ended or not.
pub async fn all(app: &App) -> Result<Vec<Terminal>, Fault> {
    let mut out: Vec<Terminal> = Vec::new();
    loop {
        let after = out.last().map(|t| t.id.to_string()).unwrap_or_default();
        let page = app.store.terminals(&after, limits::LIST).await?;
        let full = i64::try_from(page.len()).is_ok_and(|n| n == limits::LIST);
        out.extend(page);
        if !full {
            return Ok(out);
        }
    }
}

/// The word for a screen in the `cs` claim.
pub fn word(at: Option<&AtTerminal>) -> &'static str {
    match at {
        Some(at) if at.plate.attested => "attested",
        Some(_) => "registered",
        None => "unknown",
    }
}

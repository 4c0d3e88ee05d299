//! What the terminal may do while it waits: watch, type digits, give up. All of it needs the
//! collector (cookie or header) and the wait key; neither is enough alone.

use super::{Around, digit_counter, digits, keep};
use crate::app::once::hashed;
use crate::app::{App, Context, Fault};
use countersign_store::Write;
use countersign_trust::ceremony::{Ceremony, State};
use countersign_trust::{Refusal, limits};
use countersign_wire::code::Direction;
use countersign_wire::message::{StateOnly, StateView};
use countersign_wire::secret::same;
use countersign_wire::{CeremonyId, Time, b64, frame, limits as protocol};

/// What a terminal shows to be the one that opened.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Cookie b, or the collector c of a program.
    pub collector: String,
    /// The wait key, base64url.
    pub wait_key: String,
}

/// The ceremony, if the caller holds both halves; one answer for everything else.
pub async fn held(app: &App, ctx: &Context, cid: &str, holder: &Holder) -> Result<Ceremony, Fault> {
    let none = || Fault::because(Refusal::NoSuchCeremony, "unknown, or not of this terminal");
    let id: CeremonyId = cid.parse().map_err(|_| none())?;
    let found = app.store.ceremony(&id).await?;
    let hash = found.as_ref().map_or("", |c| c.opening.collector_hash.as_str());
    let right = same(hash.as_bytes(), hashed(holder.collector.as_bytes()).as_bytes());
    let right = has_wait_key(app, &id, found.as_ref(), holder) & right;
    let held = found.filter(|_| right).ok_or_else(none)?;
    ctx.known_as("ceremony", held.opening.id.as_str());
    Ok(held)
}

/// Whether the wait key is this ceremony's. The same work whether there is one or not.
fn has_wait_key(app: &App, id: &CeremonyId, found: Option<&Ceremony>, holder: &Holder) -> bool {
    let (serial, jkt) = match found {
        Some(c) => (c.opening.k, c.opening.jkt.as_str()),
        None => (app.keys.k().0, ""),
    };
    let Some(k) = app.keys.k_by_serial(serial) else { return false };
    let wk = frame::wait_key(&frame::channel_key(k.expose(), id.as_str(), jkt));
    same(&wk, &b64::decode(&holder.wait_key).unwrap_or_default())
}

/// The ceremony whose result this browser holds: the redemption replaced cookie b, so the session's
/// cookie stands for it, beside the wait key.
async fn redeemed_here(app: &App, cid: &str, holder: &Holder, session: Option<&str>) -> Result<Option<Ceremony>, Fault> {
    let Some(cookie) = session else { return Ok(None) };
    let session = app.store.session_by_cookie(&hashed(cookie.as_bytes())).await?;
    let Some(id) = session.and_then(|s| s.facts.ceremony).filter(|id| id.as_str() == cid) else { return Ok(None) };
    let found = app.store.ceremony(&id).await?;
    let right = has_wait_key(app, &id, found.as_ref(), holder);
    Ok(found.filter(|_| right))
}

/// What the terminal sees: the state, what it must do, and nobody's name.
pub fn view(app: &App, c: &Ceremony, now: Time) -> Result<StateView, Fault> {
    let late = c.deadline().is_some_and(|d| now >= d) && c.is_pending();
    let mut view = StateView {
        state: if late { "expired" } else { c.state_name() }.to_owned(),
        left_ms: c.deadline().map_or(0, |d| now.ms_until(d)),
        t_ms: now.ms_since(c.opening.at),
        ask: None,
        n: None,
        digits: None,
    };
    if let State::Opened(_) = c.state
        && !c.opening.push
    {
        let frames_end = c.opening.at.plus_s(protocol::OPENED_S);
        view.left_ms = now.ms_until(frames_end).max(if late { 0 } else { 1 });
    }
    if let (State::Scanned(scan), false) = (&c.state, late) {
        let open = |d: Direction| scan.demanded.directions.contains(&d) && !scan.done.contains(&d);
        if open(Direction::TypedOnTerminal) {
            view.ask = Some("type_here".to_owned());
            view.n = Some(scan.demanded.digits);
        } else if open(Direction::TypedOnDevice) {
            view.ask = Some("type_there".to_owned());
            view.n = Some(scan.demanded.digits);
            view.digits = Some(digits(app, c, Direction::TypedOnDevice)?);
        }
    }
    Ok(view)
}

/// Digits typed on the terminal.
pub async fn confirm(app: &App, ctx: &Context, cid: &str, holder: &Holder, typed: &str) -> Result<StateOnly, Fault> {
    app.judged_anew(|n| async move {
        let c = held(app, ctx, cid, holder).await?;
        confirm_step(app, &ctx.anew(app, n), &c, Direction::TypedOnTerminal, typed).await
    })
    .await
}

/// Digits typed on either side, once the side was found to be allowed.
pub async fn confirm_step(
    app: &App,
    ctx: &Context,
    c: &Ceremony,
    direction: Direction,
    typed: &str,
) -> Result<StateOnly, Fault> {
    let mut around = Around::default();
    let mut right = false;
    if let State::Scanned(scan) = &c.state {
        let count = digit_counter(&scan.person, &scan.device, ctx.now);
        if app.store.used(&count).await? >= count.limit {
            return Err(Fault::because(Refusal::TooMany, "wrong digits today"));
        }
        right = is_right(app, c, direction, typed.trim())?;
        let asked = scan.demanded.directions.contains(&direction) && !scan.done.contains(&direction);
        if !right && asked {
            around.writes.push(Write::counted(&count));
        }
        around.person = Some(scan.person.clone());
    }
    let step = c.confirm(direction, right, ctx.now);
    let state = step.next.clone().unwrap_or_else(|| c.state.clone());
    keep(app, ctx, c, step, around).await?;
    let after = Ceremony { state, ..c.clone() };
    Ok(StateOnly { state: after.state_name().to_owned() })
}

/// Whether digits are those that were asked for: ours, or those that the client showed by itself.
fn is_right(app: &App, c: &Ceremony, direction: Direction, typed: &str) -> Result<bool, Fault> {
    let own = c.opening.collects.as_ref().and_then(|c| c.binding.as_ref());
    let Some(binding) = own else { return Ok(same(digits(app, c, direction)?.as_bytes(), typed.as_bytes())) };
    let k = app.keys.k_by_serial(c.opening.k).ok_or(Refusal::Gone)?;
    let mac = super::collect::digits_mac(k.expose(), &c.opening.id, typed);
    Ok(same(binding.mac.as_bytes(), mac.as_bytes()))
}

/// The terminal gives up, or answers "not me" at the greeting.
pub async fn abandon(app: &App, ctx: &Context, cid: &str, holder: &Holder, session: Option<&str>) -> Result<(), Fault> {
    app.judged_anew(|n| async move {
        let ctx: &Context = &ctx.anew(app, n);
        let c = match held(app, ctx, cid, holder).await {
            Ok(c) => c,
            Err(fault) => redeemed_here(app, cid, holder, session).await?.ok_or(fault)?,
        };
        let greets = matches!(&c.state, State::Redeemed(r) if r.greet && !r.claimed);
        let step = c.abandon(if greets { "not_me_at_terminal" } else { "terminal" }, ctx.now);
        keep(app, ctx, &c, step, Around::default()).await
    })
    .await
}

/// The page went without a word: whatever is pending is given up on its behalf.
pub async fn page_gone(app: &App, ctx: &Context, cid: &CeremonyId) -> Result<(), Fault> {
    app.judged_anew(|_| async {
        let Some(c) = app.store.ceremony(cid).await? else { return Ok(()) };
        if !c.is_pending() {
            return Ok(());
        }
        let step = c.abandon("page_gone", ctx.now);
        keep(app, ctx, &c, step, Around::default()).await
    })
    .await
}

/// One sweep: whatever has run out ends. Answers how many.
pub async fn sweep(app: &App, ctx: &Context) -> Result<usize, Fault> {
    let due = app.store.ceremonies_due(ctx.now, limits::LIST).await?;
    let mut ended = 0;
    for c in due {
        let step = c.sweep(ctx.now);
        if step.next.is_some() {
            match keep(app, ctx, &c, step, Around::default()).await {
                Ok(()) => ended += 1,
                // Somebody else moved it meanwhile: nothing is left to sweep.
                Err(Fault { store: Some(countersign_store::StoreError::Conflict), .. }) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(ended)
}

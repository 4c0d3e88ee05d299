//! How a waiting page hears: a stream of server-sent events, or a long poll where streams do not
//! pass. A page that goes without a word is given up on its behalf.

use super::answer::refused;
use super::request::Incoming;
use crate::app::ceremony::terminal::{self, Holder};
use crate::app::hub::Wait;
use crate::app::once::hashed;
use crate::app::{App, Context, Fault, bound, observe};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use countersign_trust::Refusal;
use countersign_wire::CeremonyId;
use countersign_wire::message::StateView;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// A page that let go may come back within this.
const GONE: Duration = Duration::from_secs(10);
/// How long one poll may hang.
pub(super) const POLL: Duration = Duration::from_secs(25);
/// Something is sent at least this often, so that a dead line is noticed.
const TICK: Duration = Duration::from_secs(5);

/// A wait whose end starts the timer for pages that went without a word.
struct Watch {
    app: Arc<App>,
    ctx: Context,
    cid: CeremonyId,
    wait: Option<Wait<CeremonyId>>,
    /// Nothing is left to be given up.
    over: bool,
}

impl Watch {
    fn new(app: &Arc<App>, ctx: &Context, cid: &CeremonyId) -> Result<Watch, Fault> {
        let wait = app.hub.wait(cid).ok_or(Fault::because(Refusal::TooMany, "waiting pages"))?;
        Ok(Watch { app: app.clone(), ctx: ctx.clone(), cid: cid.clone(), wait: Some(wait), over: false })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.wait = None;
        if self.over {
            return self.app.hub.forget(&self.cid);
        }
        let (app, address, agent, cid) = (self.app.clone(), self.ctx.address, self.ctx.agent.clone(), self.cid.clone());
        let Some((seen, _)) = app.hub.life(&cid) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            tokio::time::sleep(GONE).await;
            if app.hub.life(&cid) == Some((seen, false)) {
                app.hub.forget(&cid);
                let ctx = Context::new(&app, address, agent);
                if let Err(fault) = terminal::page_gone(&app, &ctx, &cid).await {
                    tracing::debug!(code = fault.refusal.code(), "a page that went was not given up");
                }
            }
        });
    }
}

/// What a stream remembers between two events.
struct Streaming {
    watch: Watch,
    holder: Holder,
    last: Option<StateView>,
    done: bool,
}

/// `GET /ceremonies/{cid}/events`.
pub async fn stream(State(app): State<Arc<App>>, Path(cid): Path<String>, r: Incoming) -> Response {
    let begun = async {
        let holder = r.holder(&app, false)?;
        let c = terminal::held(&app, &r.ctx, &cid, &holder).await?;
        Ok((holder, Watch::new(&app, &r.ctx, &c.opening.id)?))
    }
    .await;
    let (holder, watch) = match begun {
        Ok(begun) => begun,
        Err(fault) => return refused(&app, &r.ctx, fault).await,
    };
    let state = Streaming { watch, holder, last: None, done: false };
    let events = stream::unfold(state, |mut s| async move {
        if s.done {
            return None;
        }
        loop {
            let (view, over) = look(&mut s.watch, &s.holder).await?;
            let changed = s.last.as_ref().is_none_or(|l| {
                (&l.state, &l.ask, &l.digits, l.n) != (&view.state, &view.ask, &view.digits, view.n)
            });
            if changed {
                let event = Event::default().event("state").json_data(&view).ok()?;
                s.last = Some(view);
                s.done = over;
                return Some((Ok::<_, Infallible>(event), s));
            }
            let wait = s.watch.wait.as_mut()?;
            if tokio::time::timeout(TICK, wait.changed()).await.is_err() {
                return Some((Ok(Event::default().comment("")), s));
            }
        }
    });
    // What a proxy holds back, a waiting screen does not hear.
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}

#[derive(Deserialize)]
pub struct Since {
    since: Option<String>,
}

/// `GET /ceremonies/{cid}?since=STATE`: answers when the state is another, or after 25 s.
pub async fn poll(
    State(app): State<Arc<App>>,
    Path(cid): Path<String>,
    Query(query): Query<Since>,
    r: Incoming,
) -> Response {
    let begun = async {
        let holder = r.holder(&app, false)?;
        let c = terminal::held(&app, &r.ctx, &cid, &holder).await?;
        Ok::<_, Fault>((holder, Watch::new(&app, &r.ctx, &c.opening.id)?))
    }
    .await;
    let (holder, mut watch) = match begun {
        Ok(begun) => begun,
        Err(fault) => return refused(&app, &r.ctx, fault).await,
    };
    let end = tokio::time::Instant::now() + POLL;
    loop {
        let Some((view, over)) = look(&mut watch, &holder).await else {
            return refused(&app, &r.ctx, Refusal::Unavailable.into()).await;
        };
        let same = query.since.as_deref() == Some(view.state.as_str());
        if !same || over || tokio::time::Instant::now() >= end {
            return Json(view).into_response();
        }
        if let Some(wait) = watch.wait.as_mut() {
            let _ = tokio::time::timeout_at(end, wait.changed()).await;
        }
    }
}

/// How a session stands, for the page that it lives on.
#[derive(Serialize)]
struct Stands {
    standing: &'static str,
}

/// `GET /session/watch?since=WORD`: `good`, `limit`, `step_up`, `lock` or `ended`; answers when it is another word, or
/// after 25 s. The cookie is enough to read this one word, as it is for the page itself.
pub async fn session(State(app): State<Arc<App>>, Query(query): Query<Since>, r: Incoming) -> Response {
    let begun = async {
        let cookie = r.session().ok_or(Fault::because(Refusal::NoSession, "no session cookie"))?;
        let hash = hashed(cookie.as_bytes());
        let none = || Fault::because(Refusal::NoSession, "an unknown session cookie");
        let session = app.store.session_by_cookie(&hash).await?.filter(|s| bound::is_shown(&app, &r.ctx, s)).ok_or_else(none)?;
        let session = observe::terminal(&app, &r.ctx, session).await?;
        let wait = app.screens.wait(&session.facts.id).ok_or(Fault::because(Refusal::TooMany, "waiting pages"))?;
        Ok::<_, Fault>((session.facts.id, wait))
    }
    .await;
    let (id, mut wait) = match begun {
        Ok(begun) => begun,
        Err(fault) => return refused(&app, &r.ctx, fault).await,
    };
    let end = tokio::time::Instant::now() + POLL;
    loop {
        let now = match app.store.session(&id).await {
            Ok(session) => session.filter(|s| s.is_live(app.now())),
            Err(fault) => return refused(&app, &r.ctx, fault.into()).await,
        };
        let standing = match now {
            None => "ended",
            Some(session) => session.standing.map_or("good", |s| s.effect.as_str()),
        };
        if query.since.as_deref() != Some(standing) || tokio::time::Instant::now() >= end {
            return Json(Stands { standing }).into_response();
        }
        let _ = tokio::time::timeout_at(end, wait.changed()).await;
    }
}

async fn look(watch: &mut Watch, holder: &Holder) -> Option<(StateView, bool)> {
    let app = &watch.app;
    let c = terminal::held(app, &watch.ctx, watch.cid.as_str(), holder).await.ok()?;
    let view = terminal::view(app, &c, app.now()).ok()?;
    let over = !c.is_pending() || view.state == "expired";
    watch.over = !c.is_pending();
    Some((view, over))
}

//! What happens by the clock: sweeping, numbering, following, keys, telling relying parties.

pub mod rounds;

use crate::app::ceremony::terminal;
use crate::app::{App, Context, access, asks_for_judgement, glass, judge, noise, policies, sessions, silence, workloads};
use crate::oidc::{backchannel, ping};
use crate::push::courier;
use crate::ssf::{fetch, push};
use countersign_trust::audit::Kind;
use countersign_trust::limits;
use countersign_trust::shared::caep;
use countersign_wire::CeremonyId;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

/// Begins every job; each ends when `stopped` says so.
pub fn spawn(app: &Arc<App>, stopped: &Receiver<bool>) -> Vec<JoinHandle<()>> {
    let polled = app.config.signals.transmitters.iter().filter(|t| t.poll_endpoint.is_some());
    let fetching = polled.map(|t| tokio::spawn(fetch::run(app.clone(), t.clone(), stopped.clone())));
    let mut jobs: Vec<JoinHandle<()>> = fetching.collect();
    jobs.extend([

        every(app, stopped, Duration::from_millis(50), "sequence", |app| async move {
            app.store.engine().sequence().await.map(|_| ()).map_err(|e| e.to_string())
        }),
        every(app, stopped, Duration::from_secs(1), "sweep", sweep),
        every(app, stopped, Duration::from_secs(60), "clear", |app| async move {
            sessions::sweep_stopped(&app).await.map_err(|f| f.refusal.code().to_owned())?;
            app.store.clear_expired(app.now()).await.map(|_| ()).map_err(|e| e.to_string())
        }),
        every(app, stopped, Duration::from_secs(60), "grants without the line", |app| async move {
            glass::sweep(&app).await.map_err(|f| f.refusal.code().to_owned())
        }),
        every(app, stopped, Duration::from_secs(limits::USES_S.unsigned_abs()), "uses", |app| async move {
            app.uses.write(&app).await.map_err(|e| e.to_string())
        }),
        every(app, stopped, Duration::from_secs(30), "keys", |app| async move {
            app.keys.refresh(&app.store).await.map_err(|e| format!("{e:?}"))
        }),
        every(app, stopped, Duration::from_secs(2), "policies", |app| async move { policies::reload(&app).await }),
        every(app, stopped, Duration::from_secs(5), "resting", |app| async move {
            judge::wake_resting(&app).await.map_err(|f| f.refusal.code().to_owned())
        }),
        every(app, stopped, silence::LOOK, "silence", |app| async move {
            silence::look(&app).await.map_err(|f| f.refusal.code().to_owned())
        }),
        tokio::spawn(judge::run(app.clone(), stopped.clone())),
        every(app, stopped, Duration::from_secs(2), "access policies", access::renew),
        tokio::spawn(follow(app.clone(), stopped.clone())),
        tokio::spawn(backchannel::run(app.clone(), stopped.clone())),
        tokio::spawn(ping::run(app.clone(), stopped.clone())),
        tokio::spawn(courier::run(app.clone(), stopped.clone())),
        tokio::spawn(push::run(app.clone(), stopped.clone())),
    ]);
    jobs
}

fn every<F, Fut>(app: &Arc<App>, stopped: &Receiver<bool>, period: Duration, name: &'static str, act: F) -> JoinHandle<()>
where
    F: Fn(Arc<App>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), String>> + Send,
{
    let (app, mut stopped) = (app.clone(), stopped.clone());
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(period);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stopped.wait_for(|s| *s) => return,
            }
            match act(app.clone()).await {
                Ok(()) => failing = false,
                Err(why) => {
                    // Said once a failure, not once a tick.
                    if !failing {
                        tracing::warn!(job = name, why, "a job failed");
                    }
                    failing = true;
                }
            }
        }
    })
}

async fn sweep(app: Arc<App>) -> Result<(), String> {
    let ctx = Context::new(&app, IpAddr::V4(Ipv4Addr::LOCALHOST), "sweep".to_owned());
    terminal::sweep(&app, &ctx).await.map_err(|f| f.refusal.code().to_owned())?;
    sessions::sweep(&app, app.now()).await.map_err(|f| f.refusal.code().to_owned())?;
    workloads::sweep(&app).await.map_err(|f| f.refusal.code().to_owned())?;
    noise::tell(&app).await.map_err(|f| f.refusal.code().to_owned())?;
    Ok(())
}

/// Reads every event in order and wakes the pages it concerns: changes that other nodes or the
/// administrator's commands made are heard here.
async fn follow(app: Arc<App>, mut stopped: Receiver<bool>) {
    let mut cursor = app.store.engine().last_seq().await.unwrap_or(0);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut lost = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.wait_for(|s| *s) => return,
        }
        match app.store.engine().events_after(cursor, 500).await {
            Ok(events) => {
                if lost {
                    app.hub.wake_all();
                    app.screens.wake_all();
                    app.known.forget();
                    lost = false;
                }
                for numbered in events {
                    cursor = numbered.seq;
                    if let Some(cid) = numbered.event.ceremony.as_deref().and_then(|c| c.parse::<CeremonyId>().ok()) {
                        app.hub.wake(&cid);
                    }
                    if let Some(Ok(session)) = numbered.event.session.as_deref().map(str::parse) {
                        app.screens.wake(&session);
                    }
                    if asks_for_judgement(&numbered.event.kind) {
                        app.to_judge.notify_one();
                    }
                    if caep::may_be_told(&numbered.event.kind) {
                        app.signals.wake();
                    }
                    if numbered.event.kind == Kind::ClientChanged.as_str() {
                        app.known.forget();
                    }
                    if numbered.event.kind == "session.ended" {
                        app.owed.notify_one();
                    }
                }
            }
            Err(_) => lost = true,
        }
    }
}

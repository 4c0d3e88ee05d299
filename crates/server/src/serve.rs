//! Starts the server: store, keys, rules, jobs, doors; stops it in the other order.

use crate::app::access::Access;
use crate::app::policies::Policies;
use crate::app::keys::Keys;
use crate::app::{App, BEAT, Fault, Made, startup, workloads};
use crate::chance::{self, Chance};
use crate::config::{Config, Tls};
use crate::oidc::details::DetailTypes;
use crate::seal::Seal;
use crate::{http, jobs, pages};
use countersign_store::{Clock, Engine, Store};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Between two rounds of numbering at the start.
const HEAR_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
/// Rounds at the start, at most: longer than a dead node's lease.
const HEAR_TRIES: u32 = 200;

/// Why the server did not start: something for the operator to read.
#[derive(Debug)]
pub struct StartFault(pub String);

impl std::fmt::Display for StartFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for StartFault {}

fn fault<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> StartFault {
    move |e| StartFault(format!("{what}: {e}"))
}

/// A running server.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does.
    pub app: Arc<App>,
    /// The first administrator's link, where there is none yet.
    pub first_link: Option<String>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Stops taking requests, lets those under way end, then stops the jobs.
    pub async fn stop(self) {
        // Nobody listening means everybody has stopped already.
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = tokio::time::timeout(std::time::Duration::from_secs(10), task).await;
        }
    }
}

/// Opens the store and makes the app, without doors or jobs: what commands act through.
pub async fn open(config: Config, clock: Option<Arc<dyn Clock>>, chance: Arc<dyn Chance>) -> Result<Arc<App>, StartFault> {
    let engine = match clock {
        Some(clock) => Engine::open_with(&config.database, clock).await,
        None => Engine::open(&config.database).await,
    }
    .map_err(fault("store"))?;
    open_on(engine, config, chance).await
}

/// The same over an engine that is open already.
pub async fn open_on(
    engine: Engine,
    config: Config,
    chance: Arc<dyn Chance>,
) -> Result<Arc<App>, StartFault> {
    let seal = Seal::load(&config.seal_key_file, !matches!(engine, Engine::Postgres(_)), &*chance).map_err(fault("seal key"))?;
    hear(&engine).await?;
    let store = Store::new(engine);
    let keys = Keys::load(&store, seal, chance.clone()).await.map_err(fault("keys"))?;
    let policies = Policies::load(config.policies.as_deref()).map_err(fault("policies"))?;
    let access = Access::load(config.access_policies.as_deref()).map_err(fault("access_policies"))?;
    let details = DetailTypes::load(&config.detail_types).map_err(fault("detail_types"))?;
    let trusted = config.evidence.load().map_err(fault("evidence"))?;
    let config = Arc::new(config);
    Ok(Arc::new(App::new(Made { store, config, keys, policies, access, details, trusted, chance })))
}

/// Takes part in numbering until a beat is heard: nothing is decided before, and the jobs that beat
/// begin only later, in a command never.
async fn hear(engine: &Engine) -> Result<(), StartFault> {
    for _ in 0..HEAR_TRIES {
        if engine.beat_age() < BEAT {
            return Ok(());
        }
        // A round that fails is tried again.
        let _ = engine.sequence().await;
        tokio::time::sleep(HEAR_PAUSE).await;
    }
    Err(StartFault("store: the sequencer is not heard".to_owned()))
}

/// The system's own chance.
pub fn system_chance() -> Arc<dyn Chance> {
    Arc::new(chance::System::default())
}

/// Starts everything.
pub async fn start(config: Config, clock: Option<Arc<dyn Clock>>) -> Result<Running, StartFault> {
    let app = open(config, clock, system_chance()).await?;
    start_on(app).await
}

/// Why a step of the start was not done.
fn stopped(app: &App, what: &'static str) -> impl Fn(Fault) -> StartFault {
    move |f| match f.store {
        Some(_) if app.store.engine().health().clock_behind => {
            StartFault("store: the clock is behind the newest record".to_owned())
        }
        Some(e) => StartFault(format!("store: {what}: {e}")),
        None => StartFault(format!("{what}: {} {}", f.refusal.code(), f.because)),
    }
}

/// Starts doors and jobs over an app.
pub async fn start_on(app: Arc<App>) -> Result<Running, StartFault> {
    tokio::task::spawn_blocking(pages::prepare);
    startup::clients(&app).await.map_err(stopped(&app, "clients"))?;
    workloads::configured(&app).await.map_err(stopped(&app, "workloads"))?;
    let first_link = startup::first_administrator(&app).await.map_err(stopped(&app, "first administrator"))?;
    startup::record_start(&app).await.map_err(stopped(&app, "log"))?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = jobs::spawn(&app, &stopped);
    let (address, serving) = listen(app.config.listen, app.config.tls.as_ref(), http::router(app.clone()), stopped.clone()).await?;
    tasks.extend(serving);
    if let Some(at) = app.config.metrics_listen {
        let listener = tokio::net::TcpListener::bind(at).await.map_err(fault("metrics_listen"))?;
        let router = http::health::metrics(app.clone(), recorder()?);
        tasks.push(tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        }));
    }
    Ok(Running { address, app, first_link, stop, tasks })
}

/// Listens, with TLS where there is a certificate, until it is told to stop; requests under way may end.
pub async fn listen(
    at: SocketAddr,
    tls: Option<&Tls>,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, [JoinHandle<()>; 2]), StartFault> {
    let listener = std::net::TcpListener::bind(at).map_err(fault("listen"))?;
    listener.set_nonblocking(true).map_err(fault("listen"))?;
    let address = listener.local_addr().map_err(fault("listen"))?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let handle = axum_server::Handle::new();
    let ending = handle.clone();
    let stops = tokio::spawn(async move {
        let _ = stopped.wait_for(|s| *s).await;
        ending.graceful_shutdown(Some(std::time::Duration::from_secs(5)));
    });
    let ended = |result: std::io::Result<()>| {
        if let Err(e) = result {
            tracing::error!(error = %e, "the listener ended");
        }
    };
    let serves = match tls {
        Some(tls) => {
            // Installed once; a second install in one process changes nothing.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let config = axum_server::tls_rustls::RustlsConfig::from_pem_file(&tls.certificate, &tls.key)
                .await
                .map_err(fault("certificate"))?;
            let server = axum_server::from_tcp_rustls(listener, config).map_err(fault("listen"))?.handle(handle);
            tokio::spawn(async move { ended(server.serve(service).await) })
        }
        None => {
            let server = axum_server::from_tcp(listener).map_err(fault("listen"))?.handle(handle);
            tokio::spawn(async move { ended(server.serve(service).await) })
        }
    };
    Ok((address, [stops, serves]))
}

/// One recorder a process.
fn recorder() -> Result<PrometheusHandle, StartFault> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new().install_recorder().map_err(fault("metrics"))?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}

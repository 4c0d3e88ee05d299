//! A stage for tests from outside: the built `countersign` serving a fresh directory, and the
//! players in front of it.
//!
//! Every player stands at a *place*: an address that the test claims through a trusted proxy's
//! header. Two players at one place are near each other, and budgets per source never meet.
//!
//! What goes wrong here is a test's failure and nothing else, so this module panics with the reason.
#![expect(clippy::disallowed_methods, reason = "a stage waits for real programs and finds what was built")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bell;
mod ear;
mod gate;
mod document;
mod front;
mod mouth;
mod agent;
mod raw;
mod program;
mod robot;
mod scene;
mod shop;
mod site;
mod wait;

pub use front::Nodes;
pub use agent::{Agent, decided, health, question, runs_on};
pub use gate::{Gate, OWN_TOKEN, message};
pub use mouth::Mouth;
pub use bell::{Bell, Browser, Rung};
pub use ear::{Came, Ear, Mood, Receiver};
pub use program::{CIBA, DEVICE, Program};
pub use raw::{Raw, Reply};
pub use robot::{ACCESS_TOKEN, EXCHANGE, Robot, STOCK, claims, day, introspected, post};
pub use shop::{GLASS_CLIENT, Shop, Till, ask, in_s};
pub use site::Site;
pub use scene::{Attempt, Line, Scene};
pub use wait::{PATIENCE, until};

use countersign_device::keys::Folder;
use countersign_device::{Http, Phone, Transport, oidc};
use countersign_store::Engine;
use countersign_wire::{b64, mac};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;

/// Where the clients' answers go. Nothing listens there: tests read the redirect.
pub const REDIRECT: &str = "http://127.0.0.1/cb";
/// The secret of the confidential clients.
pub const SECRET: &str = "a secret only for tests, 32 bytes and more";

/// Workloads that the client `shop` lets act for its people, each for one test.
pub const HELPERS: [&str; 6] = ["helper-a", "helper-b", "helper-c", "helper-d", "helper-e", "helper-f"];

/// How to set the stage.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A database address; a SQLite file in the stage's directory if absent.
    pub database: Option<String>,
    /// Top-level lines of the configuration.
    pub more: String,
    /// Where `till` is told that sessions ended.
    pub logout: Option<String>,
    /// The only core that the server may run on.
    pub core: Option<usize>,
    /// Its public address, where something before it listens there.
    pub issuer: Option<String>,
}

/// A running server.
pub struct Stage {
    /// Its public address.
    pub issuer: Url,
    /// Its database.
    pub database: String,
    /// Where it listens itself.
    port: u16,
    dir: PathBuf,
    core: Option<usize>,
    server: Mutex<Option<Child>>,
    said: Arc<Mutex<String>>,
    guardian: Mutex<Option<Child>>,
}

static PLACES: AtomicU32 = AtomicU32::new(1);

/// The program, as it was built beside this test.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("COUNTERSIGN_PROGRAM") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let built = own.ancestors().nth(2).unwrap().join("countersign");
    assert!(built.is_file(), "`{}` is missing: run `cargo build -p countersign-server` first", built.display());
    built
}

/// Without the variables of the environment that would be read as configuration.
fn unnamed(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|n| n.starts_with("COUNTERSIGN_"))) {
        command.env_remove(name);
    }
    command
}

fn configuration(settings: &Settings, issuer: &str, port: u16, dir: &Path, database: &str) -> String {
    let hash = b64::encode(&mac::h(SECRET.as_bytes()));
    let logout = settings.logout.as_ref().map(|uri| format!("backchannel_logout_uri = \"{uri}\"\n")).unwrap_or_default();
    let client = |id: &str, rest: &str| {
        format!("[[clients]]\nid = \"{id}\"\nname = \"Client {id}\"\nredirect_uris = [\"{REDIRECT}\"]\n{rest}\n")
    };
    let scopes = "scopes = [\"profile\", \"refund\"]\nprivileged_scopes = [\"refund\"]\n";
    let secret = format!("auth = \"client_secret_basic\"\nsecret_hash = \"{hash}\"\n");
    let crowd: Vec<String> = (0..6).map(|n| client(&format!("crowd-{n}"), scopes)).collect();
    [
        format!(
            "issuer = \"{issuer}\"\nlisten = \"127.0.0.1:{port}\"\ndatabase = \"{database}\"\n\
             seal_key_file = \"{}\"\norganisation = \"Harbour Books\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n{}\n",
            dir.join("seal").display(),
            settings.more
        ),
        client("till", &format!("{scopes}{logout}")),
        client("stock", scopes),
        client("watch", &format!("{secret}introspects = [\"{issuer}\", \"{STOCK}\"]\n")),
        client("renew", &format!("{scopes}refresh = \"always\"\n")),
        client("bank", "detail_types = [\"payment\"]\nrefresh = \"always\"\n"),
        // Its tokens may be handed to helpers.
        client("shop", &format!(
            "audience = \"{STOCK}\"\nscopes = [\"profile\", \"read\", \"write\"]\nprivileged_scopes = [\"write\"]\nrefresh = \"always\"\n\
             detail_types = [\"payment\"]\nresources = [\"https://tools.example/mcp\"]\nmay_act = [{}]\n",
            HELPERS.map(|h| format!("\"{h}\"")).join(", ")
        )),
        client("far-bank", "detail_types = [\"payment\"]\nfar = \"unproven\"\n"),
        client("office", &format!("{scopes}{secret}")),
        client("ledger", &secret),
        client("desk", &format!("{secret}introspects = [\"{issuer}\"]\nasks_about = [\"*\"]\n")),
        client("other-desk", &format!("{secret}asks_about = [\"*\"]\n")),
        client("gate", &format!("{secret}introspects = [\"{STOCK}\"]\nasks_about = [\"identity\", \"tool\", \"mcp_server\", \"resource\"]\n")),
        client("narrow-desk", &format!("{secret}asks_about = [\"session\", \"client\"]\n")),
        client("far", &format!("{scopes}far = \"unproven\"\n")),
        client("tv", &format!("{scopes}device_grant = true\nrefresh = \"always\"\ndetail_types = [\"payment\"]\n")),
        client("other-tv", &format!("{scopes}device_grant = true\nverification_uri_complete = false\n")),
        client("far-tv", &format!("{scopes}device_grant = true\nfar = \"unproven\"\n")),
        client("cabinet", &format!("{scopes}{secret}device_grant = true\n")),
        client("loose-tv", &format!("{scopes}device_grant = true\ndetail_types = [\"payment\"]\ndanger_allow_unbound_collector = true\ndanger_allow_bearer = true\n")),
        client("branch", &format!("{scopes}{secret}far = \"unproven\"\nciba = {{ binding_digits = true }}\n")),
        client("hotline", &format!("{scopes}{secret}detail_types = [\"payment\"]\nrefresh = \"always\"\nciba = {{ binding_digits = true, tells_address = true }}\n")),
        client("bare-hotline", &format!("{scopes}{secret}ciba = {{ tells_address = true }}\n")),
        client("word-hotline", &format!("{scopes}{secret}ciba = {{ tells_address = true, user_code = true }}\n")),
        client("other-word", &format!("{scopes}{secret}ciba = {{ tells_address = true, user_code = true }}\n")),
        client("screen", "boundary = \"session\"\n"),
        // For tests that open more than one client may in a minute.
        crowd.join("\n"),
    ]
    .join("\n")
}

impl Stage {
    /// Sets it and starts the server.
    pub async fn set(settings: Settings) -> Stage {
        let program = program();
        let dir = tempfile::Builder::new().prefix("cs-stage-").tempdir().unwrap().keep();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let issuer = settings.issuer.clone().unwrap_or_else(|| format!("http://localhost:{port}"));
        let database =
            settings.database.clone().unwrap_or_else(|| format!("sqlite:{}", dir.join("countersign.db").display()));
        if settings.database.is_some() {
            // Made only with SQLite.
            std::fs::write(dir.join("seal"), b64::encode(&mac::h(issuer.as_bytes()))).unwrap();
        }
        std::fs::write(dir.join("countersign.toml"), configuration(&settings, &issuer, port, &dir, &database)).unwrap();
        // Ends the server and clears up however this process ends; told `done`, it only clears up.
        let guardian = Command::new("sh")
            .args(["-c", "p=; while read -r w; do p=$w; done; [ -n \"$p\" ] && [ \"$p\" != none ] && kill -9 \"$p\"; rm -rf \"$1\"", "sh"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stage = Stage {
            issuer: Url::parse(&issuer).unwrap(),
            database,
            port,
            dir,
            core: settings.core,
            server: Mutex::new(None),
            said: Arc::default(),
            guardian: Mutex::new(Some(guardian)),
        };
        stage.start(&program).await;
        stage
    }

    fn spawn(&self, program: &Path) -> Child {
        let mut command = match self.core {
            None => Command::new(program),
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
        };
        let mut child = unnamed(&mut command)
            .args(["serve", "--config"])
            .arg(self.dir.join("countersign.toml"))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.tell_guardian(&child.id().to_string());
        for pipe in [
            child.stdout.take().map(|p| Box::new(p) as Box<dyn std::io::Read + Send>),
            child.stderr.take().map(|p| Box::new(p) as Box<dyn std::io::Read + Send>),
        ]
        .into_iter()
        .flatten()
        {
            let said = self.said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap();
                    said.push_str(&line);
                    said.push('\n');
                }
            });
        }
        child
    }

    async fn start(&self, program: &Path) {
        let mut child = self.spawn(program);
        let begun = Instant::now();
        let address = ("127.0.0.1", self.port);
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the server ended at once ({status}):\n{}", self.said());
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not listen:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        *self.server.lock().unwrap() = Some(child);
    }

    fn tell_guardian(&self, word: &str) {
        if let Some(pipe) = self.guardian.lock().unwrap().as_mut().and_then(|g| g.stdin.as_mut()) {
            writeln!(pipe, "{word}").unwrap();
        }
    }

    /// The server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server.lock().unwrap().as_ref().map(Child::id)
    }

    /// Kills the server as a power cut would (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.server.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
            self.tell_guardian("none");
        }
    }

    /// Starts it again on the same files.
    pub async fn restart(&self) {
        self.kill();
        self.start(&program()).await;
    }

    /// The same where it may refuse to start; [`Stage::runs`] says whether it did.
    pub async fn try_restart(&self) {
        self.kill();
        let mut child = self.spawn(&program());
        let address = ("127.0.0.1", self.port);
        for _ in 0..1_000 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                *self.server.lock().unwrap() = Some(child);
                return;
            }
            if let Ok(Some(_)) = child.try_wait() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the server neither listens nor ends:\n{}", self.said());
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.server.lock().unwrap().is_some()
    }

    /// A caller that follows no rule.
    pub fn raw(&self, place: &str) -> Raw {
        let builder = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy();
        let client = builder.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Raw { client, issuer: self.issuer.clone(), place: place.to_owned() }
    }

    /// Everything the server printed so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Runs one of the server's commands beside it; answers what it printed, or what it complained of.
    pub fn command(&self, words: &[&str]) -> Result<String, String> {
        let config = self.dir.join("countersign.toml");
        let out = unnamed(&mut Command::new(program())).args(words).arg("--config").arg(config).current_dir(&self.dir).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The link for the first administrator, as the server printed it.
    pub async fn first_link(&self) -> String {
        let begun = Instant::now();
        loop {
            let said = self.said();
            let found = said.split_whitespace().find(|word| word.contains("/enrol#"));
            if let Some(link) = found.and_then(|word| word.find("http").map(|at| word[at..].to_owned())) {
                return link;
            }
            assert!(begun.elapsed() < PATIENCE, "the server printed no link:\n{said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts a server that all tests of this process share, with its administrator enrolled.
    pub fn shared(cell: &'static std::sync::OnceLock<Stage>, settings: fn() -> Settings) -> &'static Stage {
        cell.get_or_init(|| {
            // A thread and a runtime of its own: the test's runtime ends with the test.
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async {
                    let stage = Stage::set(settings()).await;
                    stage.enrol_administrator().await;
                    stage
                })
            })
            .join()
            .unwrap()
        })
    }

    /// Enrols the first administrator; the keys stay in the stage's directory.
    pub async fn enrol_administrator(&self) {
        let http = Http::new(Transport::new(false));
        let folder = Folder::open(&self.dir.join("administrator")).unwrap();
        Phone::enrol(http, &self.first_link().await, "Counter phone", Some(folder)).await.unwrap();
    }

    /// The players of one test. Connections belong to a test's runtime, so each test takes its own.
    pub async fn scene(&self) -> Scene<'_> {
        let transport = Transport::new(false);
        let folder = Folder::open(&self.dir.join("administrator")).unwrap();
        let administrator = Phone::load(folder, transport.clone()).unwrap();
        let discovery = oidc::discover(&Http::new(transport.clone()), &self.issuer).await.unwrap();
        let engine = Engine::open(&self.database).await.unwrap();
        Scene { stage: self, transport, administrator, discovery, engine }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut guardian) = self.guardian.lock().unwrap().take() {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
        }
    }
}

/// A source address nobody else has.
pub fn place() -> String {
    let n = PLACES.fetch_add(1, Ordering::SeqCst);
    format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)
}

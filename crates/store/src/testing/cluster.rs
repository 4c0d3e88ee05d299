//! A private PostgreSQL: made for the test process, listening on a Unix socket in its own directory, gone with the process.
#![expect(clippy::disallowed_methods, reason = "tests find their database through the environment")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

const USER: &str = "countersign";

/// A running PostgreSQL server that belongs to this process.
pub struct Cluster {
    socket: PathBuf,
    databases: AtomicUsize,
    /// Stops the server when its standard input closes, which happens however this process ends.
    guardian: Child,
    _dir: tempfile::TempDir,
}

static SHARED: OnceLock<Result<Option<Cluster>, String>> = OnceLock::new();

impl Cluster {
    /// The server of this process, started on first use. `None`, said aloud, where `COUNTERSIGN_WITHOUT_POSTGRES=1`.
    ///
    /// # Errors
    /// What is missing or failed: a test must not pass because PostgreSQL is not installed.
    pub fn shared() -> Result<Option<&'static Self>, String> {
        let shared = SHARED.get_or_init(Self::start);
        shared.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// A server for one test alone; `None`, said aloud, as above.
    ///
    /// # Errors
    /// What is missing or failed.
    pub fn start() -> Result<Option<Self>, String> {
        if std::env::var_os("COUNTERSIGN_WITHOUT_POSTGRES").is_some_and(|set| set == "1") {
            // Straight to the descriptor: the test harness would swallow a printed line.
            let line = b"skipped: no PostgreSQL tests, because COUNTERSIGN_WITHOUT_POSTGRES=1\n";
            let _ = std::io::stderr().write_all(line);
            return Ok(None);
        }
        Self::launch().map(Some)
    }

    fn launch() -> Result<Self, String> {
        let bin = programs().ok_or(
            "PostgreSQL is not installed (`apt-get install postgresql`); COUNTERSIGN_WITHOUT_POSTGRES=1 leaves these tests out",
        )?;
        let dir = tempfile::Builder::new()
            .prefix("cs-pg-")
            .tempdir()
            .map_err(|error| error.to_string())?;
        let data = dir.path().join("data");
        let log = dir.path().join("log");
        let owner = unprivileged();
        if let Some(owner) = owner {
            run(Command::new("chown").arg(owner).arg(dir.path()))?;
        }
        run(as_user(owner, &bin.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args([
                "-U",
                USER,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
            ]))?;
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=on -c max_connections=200 -c shared_buffers=64MB \
             -c log_min_messages=fatal",
            dir.path().display()
        );
        run(as_user(owner, &bin.join("pg_ctl"))
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-t", "60", "-o", &options, "start"]))?;
        let guardian = guardian(owner, &bin, &data, dir.path())?;
        Ok(Self {
            socket: dir.path().to_owned(),
            databases: AtomicUsize::new(0),
            guardian,
            _dir: dir,
        })
    }

    /// The address of a new, empty database.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn database(&self) -> Result<String, String> {
        let n = self.databases.fetch_add(1, Ordering::SeqCst);
        let (client, connection) =
            tokio_postgres::connect(&self.address("postgres"), tokio_postgres::NoTls)
                .await
                .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let name = format!("trial_{n}");
        let made = client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await;
        drop(client);
        let _ = driver.await;
        made.map_err(|error| error.to_string())?;
        Ok(self.address(&name))
    }

    fn address(&self, database: &str) -> String {
        let socket = self.socket.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{socket}/{database}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// The directory with `initdb` and `pg_ctl`: the newest of Debian's, or wherever `PATH` finds them.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .collect();
    found.sort_by_key(|bin| {
        bin.parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str()?.parse::<u32>().ok())
    });
    found.reverse();
    found.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    found
        .into_iter()
        .find(|bin| bin.join("initdb").is_file() && bin.join("pg_ctl").is_file())
}

/// PostgreSQL refuses to run as root; then it runs as this user.
fn unprivileged() -> Option<&'static str> {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|out| out.stdout.trim_ascii() == b"0");
    let exists = |user: &str| {
        Command::new("id")
            .arg(user)
            .output()
            .is_ok_and(|out| out.status.success())
    };
    root.then(|| {
        if exists("postgres") {
            "postgres"
        } else {
            "nobody"
        }
    })
}

fn as_user(owner: Option<&str>, program: &Path) -> Command {
    let mut command = match owner {
        Some(owner) => {
            let mut command = Command::new("runuser");
            command.args(["-u", owner, "--"]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.current_dir("/");
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    // Not piped: the server would inherit the pipe and keep it open.
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

fn guardian(owner: Option<&str>, bin: &Path, data: &Path, dir: &Path) -> Result<Child, String> {
    let stop = as_user(owner, &bin.join("pg_ctl"));
    let words: Vec<_> = std::iter::once(stop.get_program())
        .chain(stop.get_args())
        .collect();
    Command::new("sh")
        .args(["-c", "read -r _; data=$1; dir=$2; shift 2; \"$@\" -D \"$data\" -m immediate stop; rm -rf \"$dir\"", "sh"])
        .arg(data)
        .arg(dir)
        .args(words)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())
}

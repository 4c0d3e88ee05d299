//! The command line of the server program. Every command acts through the same app as the doors.
//!
//! Exit codes: 0 done, 1 refused or weak, 2 usage or configuration, 3 the store or a file.

mod admin;
mod backup;
mod bulk;
mod glass;
mod init;
mod log;
mod policy;
mod right;
mod signal;
mod terminal;
mod verify;
mod workload;

use crate::app::policies::Policies;
use crate::config::{self, Config};
use crate::mcp::{self, settings::Settings};
use crate::serve::{self, StartFault};
use clap::{CommandFactory, Parser, Subcommand};
use countersign_store::{OpenError, StoreError};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// A configuration to begin with.
const TEMPLATE: &str = include_str!("template.toml");

/// Sign in on one device, complete on another; alive only while both devices deserve it.
#[derive(Parser)]
#[command(name = "countersign", version, about, propagate_version = true)]
struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer as JSON lines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve,
    /// Make a folder to begin with: a configuration, and rules with their tests.
    Init {
        /// The rules for such a place: shop, workshop, contractor or operations.
        #[arg(long)]
        profile: init::Profile,
        /// The folder; it must hold no configuration yet.
        folder: PathBuf,
    },
    /// Check or print the configuration.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Invite a person to enrol a first device.
    Invite {
        /// Name of the person.
        name: String,
        /// Login name: a-z 0-9 . _ - @ +
        login: String,
        /// member, recovery_officer, administrator or operator.
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Let a person back in who has no device left, from this machine's console: a link, shown once, for
    /// one device with reduced rights. The person's other devices are told and can stop it.
    Recover {
        /// Login name.
        login: String,
        /// A device that is lost: it ends with all it opened. May be given more than once.
        #[arg(long, value_name = "DEVICE")]
        lost: Vec<String>,
    },
    /// People.
    Person {
        #[command(subcommand)]
        what: admin::PersonCommand,
    },
    /// Devices.
    Device {
        #[command(subcommand)]
        what: admin::DeviceCommand,
    },
    /// The rules: try cases on a set, explain a decision, ask another set what was decided.
    Policy {
        #[command(subcommand)]
        what: policy::PolicyCommand,
    },
    /// What is known against a device, a person or a session; what rests on it is judged again at once.
    Signal {
        #[command(subcommand)]
        what: signal::SignalCommand,
    },
    /// Rights that were given just in time.
    Right {
        #[command(subcommand)]
        what: right::RightCommand,
    },
    /// Registered applications.
    Client {
        #[command(subcommand)]
        what: admin::ClientCommand,
    },
    /// Programs that act for themselves.
    Workload {
        #[command(subcommand)]
        what: workload::WorkloadCommand,
    },
    /// Registered screens: tills, kiosks, workstations, consoles.
    Terminal {
        #[command(subcommand)]
        what: terminal::TerminalCommand,
    },
    /// What two people opened at terminals that could not ask, and its review.
    Glass {
        #[command(subcommand)]
        what: glass::GlassCommand,
    },
    /// What was recorded.
    Log {
        #[command(subcommand)]
        what: log::LogCommand,
    },
    /// Take the whole store into one file.
    Backup {
        /// File to write; it must not exist.
        file: PathBuf,
    },
    /// Bring a backup back into an empty store.
    Restore {
        /// File to read.
        file: PathBuf,
        /// File with the devices, people and passkeys that were stopped or ended since the backup, one a
        /// line (`countersign device ended` prints it from the old store). A backup does not know, and
        /// they must not come back.
        #[arg(long, value_name = "FILE", required_unless_present = "nothing_ended_since")]
        revoked: Option<PathBuf>,
        /// Nobody and nothing was stopped or ended since the backup.
        #[arg(long, conflicts_with = "revoked")]
        nothing_ended_since: bool,
    },
    /// Judge a WebAuthn answer or a JWS exactly as the server does, without configuration or store.
    Verify {
        #[command(subcommand)]
        what: verify::VerifyCommand,
    },
    /// Stand before an MCP server and let each call go on only if the decision point says so; without
    /// configuration or store (docs/agents.md).
    McpGate {
        /// The gate's settings.
        file: PathBuf,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print a file to begin with.
    Template,
    /// Read everything and name whatever lowers security.
    Check {
        /// Exit with 1 if anything lowers security.
        #[arg(long)]
        strict: bool,
    },
}

/// Why a command ended without being done.
pub struct Ended {
    code: u8,
    why: String,
}

impl Ended {
    fn refused(why: impl Into<String>) -> Ended {
        Ended { code: 1, why: why.into() }
    }
    fn usage(why: impl Into<String>) -> Ended {
        Ended { code: 2, why: why.into() }
    }
    fn store(why: impl Into<String>) -> Ended {
        Ended { code: 3, why: why.into() }
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended::store(error.to_string())
    }
}

impl From<OpenError> for Ended {
    fn from(error: OpenError) -> Ended {
        Ended::store(error.to_string())
    }
}

impl From<crate::app::Fault> for Ended {
    fn from(fault: crate::app::Fault) -> Ended {
        if let Some(error) = fault.store {
            return error.into();
        }
        let because = if fault.because.is_empty() { String::new() } else { format!(": {}", fault.because) };
        Ended::refused(format!("{}{because}", fault.refusal.code()))
    }
}

impl From<StartFault> for Ended {
    fn from(fault: StartFault) -> Ended {
        // The part that failed stands before the colon; only the store's own faults are not the operator's to mend.
        if ["store", "keys"].iter().any(|part| fault.0.starts_with(part)) { Ended::store(fault.0) } else { Ended::usage(fault.0) }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("cannot start: {e}");
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            eprintln!("{}", ended.why);
            ExitCode::from(ended.code)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where settings are read from the environment")]
fn load(cli: &Cli) -> Result<Config, Ended> {
    let implied = PathBuf::from("countersign.toml");
    let file = cli.config.clone().or_else(|| implied.exists().then_some(implied));
    Config::load(file.as_deref(), std::env::vars()).map_err(|e| Ended::usage(format!("configuration: {e}")))
}

async fn run(cli: Cli) -> Result<(), Ended> {
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut Cli::command(), "countersign", &mut std::io::stdout());
        return Ok(());
    }
    if let Command::Config { what: ConfigCommand::Template } = cli.command {
        print!("{TEMPLATE}");
        return Ok(());
    }
    if let Command::Init { profile, folder } = &cli.command {
        return init::run(*profile, folder, TEMPLATE, cli.json);
    }
    if let Command::Verify { what } = &cli.command {
        return verify::run(what, cli.json);
    }
    if let Command::McpGate { file } = &cli.command {
        logging(cli.json);
        return gate(file).await;
    }
    let config = load(&cli)?;
    logging(config.log_json);
    let json = cli.json;
    match cli.command {
        Command::Serve => serving(config).await,
        Command::Config { what: ConfigCommand::Check { strict } } => check(&config, strict, json),
        Command::Invite { name, login, role } => admin::invite(&*acting(config).await?, &name, &login, &role, json).await,
        Command::Recover { login, lost } => admin::recover(&*acting(config).await?, &login, &lost, json).await,
        Command::Person { what } => admin::person(&*acting(config).await?, what, json).await,
        Command::Device { what } => admin::device(&*acting(config).await?, what, json).await,
        Command::Client { what } => admin::client(&*acting(config).await?, what, json).await,
        Command::Policy { what } => policy::run(config, what, json).await,
        Command::Right { what } => right::run(&*acting(config).await?, what, json).await,
        Command::Signal { what } => signal::run(&*acting(config).await?, what, json).await,
        Command::Workload { what } => workload::run(&*acting(config).await?, what, json).await,
        Command::Terminal { what } => terminal::run(&*acting(config).await?, what, json).await,
        Command::Glass { what } => glass::run(&*acting(config).await?, what, json).await,
        Command::Log { what } => log::run(&*acting(config).await?, what, json).await,
        Command::Backup { file } => backup::take(&*acting(config).await?, &file, json).await,
        Command::Restore { file, revoked, .. } => backup::restore(config, &file, revoked.as_deref(), json).await,
        Command::Completions { .. } | Command::Init { .. } | Command::McpGate { .. } | Command::Verify { .. } | Command::Config { what: ConfigCommand::Template } => Ok(()),
    }
}

async fn acting(config: Config) -> Result<Arc<crate::app::App>, Ended> {
    Ok(serve::open(config, None, serve::system_chance()).await?)
}

fn check(config: &Config, strict: bool, json: bool) -> Result<(), Ended> {
    Policies::load(config.policies.as_deref()).map_err(|e| Ended::usage(format!("policies: {e}")))?;
    let found = config::weaknesses(config);
    for w in &found {
        if json {
            println!("{}", serde_json::json!({"setting": w.setting, "cost": w.cost}));
        } else {
            println!("{}\n    {}", w.setting, w.cost);
        }
    }
    if found.is_empty() && !json {
        println!("good: nothing lowers security");
    }
    if strict && !found.is_empty() { Err(Ended::refused(format!("{} settings lower security", found.len()))) } else { Ok(()) }
}

async fn serving(config: Config) -> Result<(), Ended> {
    let issuer = config.issuer.clone();
    let running = serve::start(config, None).await?;
    println!("Countersign is at {issuer}");
    println!("It listens on {}", running.address);
    if let Some(link) = &running.first_link {
        println!("No administrator yet. Open this link on the phone of the first one, within 10 minutes, once:");
        println!("{link}");
        if std::io::stdout().is_terminal() {
            print!("{}", admin::qr(link));
        }
    }
    stop_signal().await;
    tracing::info!("stopping");
    running.stop().await;
    Ok(())
}

async fn gate(file: &Path) -> Result<(), Ended> {
    let settings = Settings::load(file).map_err(|e| Ended::usage(format!("gate: {e}")))?;
    let (at, tls, resource) = (settings.listen, settings.tls.clone(), settings.audience());
    if !settings.is_near() && settings.danger_allow_plain_upstream {
        tracing::warn!("danger_allow_plain_upstream: whoever is between the gate and its server reads and changes every call");
    }
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (address, tasks) = serve::listen(at, tls.as_ref(), mcp::router(settings)?, stopped).await?;
    println!("The gate of {resource} listens on {address}");
    stop_signal().await;
    // Nobody listening means everybody has stopped already.
    let _ = stop.send(true);
    for task in tasks {
        let _ = tokio::time::timeout(std::time::Duration::from_secs(10), task).await;
    }
    Ok(())
}

async fn stop_signal() {
    let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(signal) => signal,
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
            return;
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "the log level is set by the environment alone")]
fn logging(as_json: bool) {
    let level = std::env::var("COUNTERSIGN_LOG").unwrap_or_else(|_| "warn,countersign_server=info".to_owned());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second subscriber in one process is refused; the first one stays.
    let _ = if as_json { builder.json().try_init() } else { builder.try_init() };
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_trust::Refusal;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["countersign", "restore", "file"]).is_err(), "what ended since must be said");
        assert!(Cli::try_parse_from(["countersign", "restore", "file", "--revoked", "ids"]).is_ok());
    }

    #[test]
    fn exit_codes_tell_refusal_usage_and_store_apart() {
        assert_eq!(Ended::from(crate::app::Fault::because(Refusal::Denied, "x")).code, 1);
        assert_eq!(Ended::from(crate::app::Fault::from(countersign_store::StoreError::Unavailable)).code, 3);
        assert_eq!(Ended::from(StartFault("store: gone".into())).code, 3);
        assert_eq!(Ended::from(StartFault("policies: bad".into())).code, 2);
    }

    #[test]
    fn the_template_is_the_default_configuration_and_its_remarks_are_settings() {
        let plain = Config::parse(TEMPLATE, std::iter::empty()).unwrap();
        let none = Config::parse("", std::iter::empty()).unwrap();
        assert_eq!((plain.issuer, plain.database, plain.listen), (none.issuer, none.database, none.listen));
        assert_eq!((plain.organisation, plain.attestation, plain.decide_s), (none.organisation, none.attestation, none.decide_s));
        let client = TEMPLATE.split("# [[clients]]").nth(1).unwrap().replace("# ", "");
        assert_eq!(Config::parse(&format!("[[clients]]{client}"), std::iter::empty()).unwrap().clients.len(), 1);
        let workload = TEMPLATE.split("# [[workloads]]").nth(1).unwrap().split("# [[").next().unwrap().replace("# ", "");
        assert_eq!(Config::parse(&format!("[[workloads]]{workload}"), std::iter::empty()).unwrap().workloads.len(), 1);
    }
}

//! `countersign-demo`: server, example till and phone in one program, for trying out.
#![forbid(unsafe_code)]

use clap::Parser;
use countersign_device::Fault;
use countersign_device::console::{Console, phone, say};
use countersign_sim::demo::{self, PERSON, Settings};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Usual port of the server.
const PORT: u16 = 7310;
/// Usual port of the till.
const TILL_PORT: u16 = 7320;

/// Starts a Countersign server, a shop's till, and Ana Petrović's phone: this window.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Keep everything in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the server [default: 7310, or a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Port of the till [default: 7320, or a free one]
    #[arg(long)]
    till_port: Option<u16>,
    /// Play the person once, see the till open and close, and leave
    #[arg(long)]
    self_check: bool,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let ran = tokio::runtime::Runtime::new()
        .map_err(|e| Fault::Local(format!("cannot start: {e}")))
        .and_then(|runtime| {
            let ran = runtime.block_on(run(&arguments));
            runtime.shutdown_background();
            ran
        });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{}\n{fault}", say::on_phone(&fault));
            ExitCode::from(fault.exit_code())
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Fault> {
    let temporary;
    let data = match &arguments.data {
        Some(data) => data.clone(),
        None => {
            temporary = tempfile::tempdir().map_err(|e| Fault::Local(format!("no temporary directory: {e}")))?;
            temporary.path().join("demo")
        }
    };
    let world = demo::start(&settings(arguments, data)?).await?;
    let done = if arguments.self_check {
        world.check(tell).await
    } else {
        show(&world, arguments.data.as_deref()).await
    };
    world.stop().await;
    done
}

fn settings(arguments: &Arguments, data: PathBuf) -> Result<Settings, Fault> {
    let mut settings = Settings::anywhere(&data)?;
    // A kept phone is enrolled at one address, which must be the same next time.
    let fixed = |port: u16| !arguments.self_check && (arguments.data.is_some() || demo::is_free(port));
    if let Some(port) = arguments.port.or(Some(PORT).filter(|p| fixed(*p))) {
        settings.port = port;
    }
    if let Some(port) = arguments.till_port.or(Some(TILL_PORT).filter(|p| fixed(*p))) {
        settings.till_port = port;
    }
    Ok(settings)
}

async fn show(world: &demo::World, data: Option<&Path>) -> Result<(), Fault> {
    let origin = |url: &url::Url| url.origin().ascii_serialization();
    tell("");
    tell(&format!("  Till    {}", origin(&world.shop)));
    tell(&format!("  Server  {}", origin(&world.issuer)));
    tell("");
    tell("Open the till in a browser and choose \"Sign in\". Then choose \"Can’t scan? Use a typed code\"");
    tell(&format!("and type that code here: this window is the phone of {PERSON}."));
    if let Some(data) = data {
        tell(&format!("The server's own commands, in another window: countersign --config {} log tail", data.join("countersign.toml").display()));
    }
    tell("Everything here is for trying out: software keys, and no TLS.");
    tell("");
    let mut console = Console::standard();
    match phone::run(&mut console, &world.phone).await? {
        phone::Left::Quit => Ok(()),
        phone::Left::NoInput => {
            tell("Nobody types here; running until stopped.");
            tokio::signal::ctrl_c().await.map_err(|e| Fault::Local(format!("cannot wait to be stopped: {e}")))
        }
    }
}

fn tell(line: &str) {
    // Whoever reads may have gone; the demonstration goes on.
    let _ = writeln!(std::io::stdout(), "{line}");
}

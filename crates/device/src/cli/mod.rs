//! Commands: each calls the library and prints. Results go to standard output, everything said on
//! the way to standard error.

mod args;
mod glass;
mod phone;
mod posture;
mod sign_in;

use args::{Arguments, Command, Glass, Options, Play};
use clap::{CommandFactory as _, Parser as _};
use countersign_device::browser;
use countersign_device::console::{Console, say};
use countersign_device::keys::Folder;
use countersign_device::play::{self, Part};
use countersign_device::posture::tpm::Tpm;
use countersign_device::{Fault, Http, Phone, Transport};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What a command found out: for people and for programs.
pub(crate) struct Found {
    lines: Vec<String>,
    json: Value,
}

impl Found {
    pub(crate) fn new(lines: Vec<String>, json: Value) -> Found {
        Found { lines, json }
    }
    pub(crate) fn done(line: &str) -> Found {
        Found::new(vec![line.to_owned()], json!({ "done": true }))
    }
}

/// Which side a command speaks for, when it says why not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Phone,
    Screen,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    let side = match &arguments.command {
        Command::Glass(Glass::Take { .. } | Glass::Show | Glass::Open { .. } | Glass::End) => Side::Screen,
        Command::SignIn(_) | Command::Terminal { .. } | Command::RemoteControl { .. } | Command::Add { .. } => Side::Screen,
        _ => Side::Phone,
    };
    let as_json = arguments.options.json;
    let ran = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Fault::Local(format!("cannot start: {e}")))
        .and_then(|runtime| {
            let found = runtime.block_on(run(&arguments));
            // Somebody may still be asked for a line that nobody will type.
            runtime.shutdown_background();
            found
        })
        .and_then(|found| print(&found, as_json));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let said = if side == Side::Screen { say::on_screen(&fault) } else { say::on_phone(&fault) };
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "{said}");
            if fault.exit_code() == 1 {
                let _ = writeln!(err, "{fault}");
            }
            if as_json {
                let _ = writeln!(std::io::stdout(), "{}", json!({ "error": fault.json() }));
            }
            ExitCode::from(fault.exit_code())
        }
    }
}

async fn run(arguments: &Arguments) -> Result<Found, Fault> {
    let options = &arguments.options;
    match &arguments.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "countersign-device", &mut script);
            let script = String::from_utf8_lossy(&script).trim_end().to_owned();
            Ok(Found::new(vec![script.clone()], Value::String(script)))
        }
        Command::Enrol { link, name, synced_passkey } => phone::enrol(options, link, name, *synced_passkey).await,
        Command::Rebind { name } => phone::rebind(options, name).await,
        Command::Add { issuer, name } => sign_in::add(options, issuer, name).await,
        Command::Terminal { link, tpm } => sign_in::terminal(options, link, *tpm).await,
        Command::RemoteControl { word } => sign_in::remote_control(options, word == "yes").await,
        Command::SignIn(wanted) => sign_in::sign_in(options, wanted).await,
        Command::Glass(wanted) => glass::run(options, wanted).await,
        Command::Posture(wanted) => posture::posture(options, wanted).await,
        Command::Watch { agents } => posture::watch(options, agents).await,
        Command::Play(Play::Authorize { url, refuse, wrong_digits, pair, typed_code, cancel, passkey, browser }) => {
            let (refuse, wrong_digits, pair) = (*refuse, *wrong_digits, *pair);
            let part = Part { refuse, wrong_digits, pair, typed_code: *typed_code, passkey: *passkey, cancel: *cancel, not_me: false };
            play_authorize(options, url, part, browser.as_deref()).await
        }
        Command::Play(Play::Code { code, refuse, not_me }) => {
            // The address of RFC 8628 §3.3.1 brings it behind `#`.
            let typed = code.rsplit('#').next().unwrap_or(code);
            let part = Part { refuse: *refuse, not_me: *not_me, ..Part::default() };
            let cid = play::type_code(&options.phone()?, typed, part).await?;
            Ok(Found::new(vec![cid.to_string()], json!({ "cid": cid })))
        }
        Command::Play(Play::Offered { digits, refuse, not_me }) => {
            let part = Part { refuse: *refuse, not_me: *not_me, ..Part::default() };
            let cid = play::answer_offered(&options.phone()?, digits.as_deref(), part).await?;
            Ok(Found::new(vec![cid.to_string()], json!({ "cid": cid })))
        }
        Command::Play(Play::SignOut { url, browser }) => {
            let folder = Folder::open(browser)?;
            let terminal = browser::load(&folder, options.http(), options.phone()?.issuer())?;
            let next = play::sign_out(&terminal, url).await?;
            browser::keep(&folder, &terminal)?;
            let line = next.as_ref().map_or("Signed out.", url::Url::as_str);
            Ok(Found::new(vec![line.to_owned()], json!({ "next": next })))
        }
        command => phone::run(options, command).await,
    }
}

async fn play_authorize(options: &Options, url: &url::Url, part: Part, kept: Option<&Path>) -> Result<Found, Fault> {
    let phone = options.phone()?;
    let played = match kept {
        None => play::authorize(&phone, options.http(), url, part).await?,
        Some(path) => {
            let folder = Folder::open(path)?;
            let mut terminal = browser::load(&folder, options.http(), phone.issuer())?;
            let played = play::authorize_again(&phone, &mut terminal, url, part).await;
            browser::keep(&folder, &terminal)?;
            played?
        }
    };
    let mut json = json!({ "redirect": played.redirect.as_str(), "cid": played.cid });
    // The session is the one this phone opened last; a machine that asked for JSON wants to end it.
    if options.json
        && played.cid.is_some()
        && let Ok(overview) = phone.overview().await
        && let Some(newest) = overview.sessions.iter().max_by_key(|s| s.opened_at)
        && let Some(map) = json.as_object_mut()
    {
        map.insert("session".into(), newest.id.clone().into());
    }
    Ok(Found::new(vec![played.redirect.to_string()], json))
}

fn print(found: &Found, as_json: bool) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    let put = |out: &mut std::io::StdoutLock<'_>| -> std::io::Result<()> {
        if as_json {
            writeln!(out, "{}", found.json)?;
        } else {
            for line in &found.lines {
                writeln!(out, "{line}")?;
            }
        }
        out.flush()
    };
    match put(&mut out) {
        // Whoever reads may have read enough.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(Fault::Local(format!("cannot write the result: {e}"))),
        Ok(()) => Ok(()),
    }
}

impl Options {
    pub(crate) fn transport(&self) -> Transport {
        Transport::new(self.danger_allow_plain_http)
    }
    pub(crate) fn http(&self) -> Http {
        Http::new(self.transport())
    }
    pub(crate) fn folder(&self) -> Result<Folder, Fault> {
        match &self.state {
            Some(path) => Folder::open(path),
            None => Folder::open(&Folder::usual()?),
        }
    }
    pub(crate) fn phone(&self) -> Result<Phone, Fault> {
        Phone::load(self.folder()?, self.transport())
    }
    pub(crate) fn tpm(&self) -> Result<Option<Tpm>, Fault> {
        Ok(Tpm::here(self.folder()?.path()))
    }
    pub(crate) fn console(&self) -> Console {
        let mut console = Console::standard();
        if self.json {
            console.colour = false;
            console.room = None;
        }
        console
    }
}

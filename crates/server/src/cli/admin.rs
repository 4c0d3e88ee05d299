//! Commands about people, devices and clients.

use super::Ended;
use crate::app::recovery::operator;
use crate::app::{App, Context, clients, devices, people, startup, touched};
use countersign_store::sql::StoredClient;
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::client::{Client, ClientAuth};
use countersign_trust::device::DeviceState;
use countersign_trust::principal::{PersonState, Role};
use countersign_wire::{Time, b64, mac};
use fast_qr::{ECL, QRBuilder};
use serde_json::json;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum PersonCommand {
    /// Everybody.
    List,
    /// Stop a person for now; what they have open ends.
    Lock { login: String },
    /// Let a locked person act again.
    Unlock { login: String },
    /// End a person for good, with all their devices.
    End { login: String },
    /// Give a person another role: member, recovery_officer, administrator or operator.
    Role { login: String, role: String },
}

#[derive(clap::Subcommand)]
pub enum DeviceCommand {
    /// Devices of a person.
    List { login: String },
    /// Stop a device for now.
    Suspend { id: String },
    /// Let a suspended device act again.
    Resume { id: String },
    /// End a device for good.
    Revoke { id: String },
    /// Everything that a device touched, and what of it lives.
    Touched {
        id: String,
        /// Since then: seconds since 1970, or an age such as 36h or 14d.
        #[arg(long, value_name = "TIME", value_parser = past)]
        since: Past,
        /// End what lives: its sessions, requests and tokens; devices that it let in are suspended.
        #[arg(long)]
        end: bool,
    },
    /// Say by which name a managing system knows a device; what it says of that name is about this device.
    Managed {
        id: String,
        /// The system: a transmitter or source of the configuration.
        #[arg(long)]
        by: String,
        /// Its name for the device.
        #[arg(long = "as", value_name = "NAME")]
        name: String,
    },
    /// All devices, people and passkeys that were stopped or ended, one a line: what a restore needs.
    Ended,
}

#[derive(clap::Subcommand)]
pub enum ClientCommand {
    /// Register a client, or change one, from a JSON file.
    Add {
        /// The registration.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// All clients.
    List,
    /// Switch a client off.
    Disable { id: String },
    /// Switch a client on.
    Enable { id: String },
    /// Make a secret, printed once; only its hash is kept.
    Secret { id: String },
}

/// A QR code for a terminal: black on bright white, whatever its colours.
pub fn qr(text: &str) -> String {
    let Ok(code) = QRBuilder::new(text).ecl(ECL::M).build() else { return String::new() };
    let size = code.size;
    let dark = |x: usize, y: usize| x < size && code.data.get(y * size + x).is_some_and(|m| m.value());
    let mut out = String::new();
    let quiet = 4_usize;
    for row in (0..size + 2 * quiet).step_by(2) {
        out.push_str("\x1b[30;107m");
        for col in 0..size + 2 * quiet {
            let at = |r: usize| r >= quiet && col >= quiet && dark(col - quiet, r - quiet);
            out.push(match (at(row), at(row + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push_str("\x1b[0m\n");
    }
    out
}

fn context(app: &App) -> Context {
    Context::new(app, IpAddr::V4(Ipv4Addr::LOCALHOST), "command".to_owned())
}

/// `countersign invite`.
pub async fn invite(app: &App, name: &str, login: &str, role: &str, json: bool) -> Result<(), Ended> {
    let role = named_role(role)?;
    let made = people::invite(app, name, login, role, None).await?;
    if json {
        println!("{}", json!({"link": made.link, "left_ms": made.left_ms}));
        return Ok(());
    }
    println!("Show this to {name}, on a screen, not by mail. It works once, for 10 minutes.");
    show(&made.link);
    Ok(())
}

fn named_role(word: &str) -> Result<Role, Ended> {
    Role::parse(word).ok_or_else(|| Ended::usage(format!("role: {}", Role::ALL.map(Role::as_str).join(", "))))
}

pub(super) fn show(link: &str) {
    println!("{link}");
    if std::io::stdout().is_terminal() {
        print!("{}", qr(link));
    }
}

/// `countersign recover`.
pub async fn recover(app: &App, login: &str, lost: &[String], json: bool) -> Result<(), Ended> {
    let made = operator::begin(app, &context(app), login, lost).await?;
    if json {
        println!("{}", json!({"link": made.link, "left_ms": made.left_ms}));
        return Ok(());
    }
    println!("Make sure who stands before you. Show this to {login}, on a screen, not by mail. It works once, for 10 minutes.");
    show(&made.link);
    Ok(())
}

/// `countersign person`.
pub async fn person(app: &App, what: PersonCommand, json: bool) -> Result<(), Ended> {
    let change = async |login: &str, to| people::change(app, login, to).await.map_err(Ended::from);
    match what {
        PersonCommand::List => {
            let mut after = String::new();
            loop {
                let page = app.store.people(&after, 100).await?;
                let Some(last) = page.last() else { return Ok(()) };
                after.clone_from(&last.login);
                for p in &page {
                    let (state, role) = (p.person.state.as_str(), p.person.role.as_str());
                    if json {
                        println!("{}", json!({"id": p.person.id, "login": p.login, "name": p.name, "state": state, "role": role}));
                    } else {
                        println!("{:24} {:10} {:14} {}", p.login, state, role, p.name);
                    }
                }
            }
        }
        PersonCommand::Lock { login } => change(&login, PersonState::Locked).await,
        PersonCommand::Unlock { login } => change(&login, PersonState::Active).await,
        PersonCommand::End { login } => change(&login, PersonState::Ended).await,
        PersonCommand::Role { login, role } => Ok(people::give_role(app, &login, named_role(&role)?).await?),
    }
}

/// `countersign device`.
pub async fn device(app: &App, what: DeviceCommand, json: bool) -> Result<(), Ended> {
    let (id, to) = match &what {
        DeviceCommand::List { login } => return devices_of(app, login, json).await,
        DeviceCommand::Touched { id, since, end } => return touched(app, id, *since, *end, json).await,
        DeviceCommand::Managed { id, by, name } => return Ok(devices::managed(app, id, by, name).await?),
        DeviceCommand::Ended => return super::backup::stopped(app).await,
        DeviceCommand::Suspend { id } => (id, DeviceState::Suspended),
        DeviceCommand::Resume { id } => (id, DeviceState::Active),
        DeviceCommand::Revoke { id } => (id, DeviceState::Revoked),
    };
    Ok(devices::by_operator(app, &context(app), id, to).await?)
}

/// A time in the past.
#[derive(Clone, Copy)]
pub enum Past {
    /// Seconds since 1970.
    At(i64),
    /// Seconds ago.
    Ago(i64),
}

fn past(text: &str) -> Result<Past, String> {
    let bad = || "seconds since 1970, or an age such as 90m, 36h or 14d".to_owned();
    if let Ok(at) = text.parse() {
        return Ok(Past::At(at));
    }
    let unit = match text.chars().last() {
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(bad()),
    };
    let number: i64 = text.trim_end_matches(char::is_alphabetic).parse().map_err(|_| bad())?;
    number.checked_mul(unit).filter(|s| *s >= 0).map(Past::Ago).ok_or_else(bad)
}

async fn touched(app: &App, id: &str, since: Past, end: bool, json: bool) -> Result<(), Ended> {
    let id = id.parse().map_err(|_| Ended::usage("a device id"))?;
    let now = app.now();
    let since = match since {
        Past::At(s) => Time(s.saturating_mul(1_000_000)),
        Past::Ago(s) => now.plus_s(-s),
    };
    let (found, left) = if end {
        let (before, after) = touched::end(app, &context(app), &id, since).await?;
        (before, Some(after.living()))
    } else {
        (touched::since(app, &id, since).await?, None)
    };
    if json {
        println!("{}", json!({"touched": found, "living": found.living(), "left": left}));
        return Ok(());
    }
    let word = |lives: bool| if lives { "lives" } else { "over" };
    for c in &found.ceremonies {
        println!("request   {}  {:6} {:10} {} on {}", c.id, word(c.lives), c.state, c.client, c.screen);
    }
    for s in &found.sessions {
        println!("session   {}  {:6} {:10} {}", s.id, word(s.lives), s.ended.as_deref().unwrap_or("-"), s.clients.join(", "));
    }
    for g in &found.grants {
        println!("tokens    {}  {:6} {:10} {}", g.id, word(g.lives), "-", g.client);
    }
    for d in &found.let_in {
        println!("device    {}  {}", d.id, d.state);
    }
    println!("{} live of what it touched", found.living());
    if let Some(left) = left {
        println!("{left} live now");
    }
    Ok(())
}

async fn devices_of(app: &App, login: &str, json: bool) -> Result<(), Ended> {
    let named = app.store.person_by_login(login).await?;
    let named = named.ok_or_else(|| Ended::refused("no such login"))?;
    let now = app.now();
    for d in app.store.devices_of(&named.person.id).await? {
        let (v, state) = (&d.device, d.device.state.as_str());
        let limited = v.limited_until.filter(|t| now < *t).map(countersign_wire::Time::seconds);
        if json {
            println!("{}", json!({"id": v.id, "name": d.name, "state": state, "key": v.key.as_str(),
                "added_at": v.added_at.seconds(), "limited_until": limited, "phone": v.seat.as_ref().map(|s| &s.phone)}));
        } else {
            let limited = if limited.is_some() { "  (reduced rights)" } else { "" };
            let shared = if v.is_shared() { "  (a seat on a shared phone)" } else { "" };
            println!("{}  {state:10} {}{limited}{shared}", v.id, d.name);
        }
    }
    Ok(())
}

/// Whether a client proves itself by a secret.
fn uses_secret(client: &Client) -> bool {
    matches!(client.auth, ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost)
}

/// A secret of 256 bits; the client keeps its hash.
fn renew(app: &App, client: &mut Client) -> String {
    let secret = b64::encode(&app.random::<32>());
    client.secret_hash = Some(b64::encode(&mac::h(secret.as_bytes())));
    secret
}

/// `countersign client`.
pub async fn client(app: &App, what: ClientCommand, json: bool) -> Result<(), Ended> {
    match what {
        ClientCommand::Add { file } => {
            let text = std::fs::read_to_string(&file).map_err(|e| Ended::usage(format!("cannot read `{}`: {e}", file.display())))?;
            let mut client: Client = serde_json::from_str(&text).map_err(|e| Ended::usage(format!("registration: {e}")))?;
            let secret = (uses_secret(&client) && client.secret_hash.is_none()).then(|| renew(app, &mut client));
            crate::config::registrable(&client).map_err(Ended::usage)?;
            if app.store.workload_by_client(&client.id).await?.is_some() {
                return Err(Ended::refused("a workload has this id"));
            }
            put(app, &client, startup::COMMAND).await?;
            if let Some(secret) = secret {
                println!("{secret}");
            }
            Ok(())
        }
        ClientCommand::List => {
            for c in app.store.clients().await? {
                if json {
                    let mut value = serde_json::to_value(&c.client).unwrap_or_default();
                    if let Some(map) = value.as_object_mut() {
                        map.remove("secret_hash");
                        map.insert("source".into(), c.source.into());
                    }
                    println!("{value}");
                } else {
                    let state = if c.client.disabled { "disabled" } else { "enabled" };
                    println!("{:32} {:9} {:21} {}", c.client.id.as_str(), state, c.source, c.client.name);
                }
            }
            Ok(())
        }
        ClientCommand::Disable { id } => {
            let old = known(app, &id).await?;
            let source = clients::stopped(&old.source);
            put(app, &Client { disabled: true, ..old.client }, &source).await
        }
        ClientCommand::Enable { id } => {
            let old = known(app, &id).await?;
            // What it came from has it back: its document, the rules for newcomers, the configuration at the next start.
            put(app, &Client { disabled: false, ..old.client }, clients::origin(&old.source)).await
        }
        ClientCommand::Secret { id } => {
            let old = known(app, &id).await?;
            if !uses_secret(&old.client) {
                return Err(Ended::refused("this client proves itself without a secret"));
            }
            if app.config.clients.iter().any(|c| c.id == old.client.id) {
                return Err(Ended::refused("the configuration holds this client's secret_hash: change it there"));
            }
            let mut new = old.client;
            let secret = renew(app, &mut new);
            put(app, &new, &old.source).await?;
            println!("{secret}");
            Ok(())
        }
    }
}

async fn known(app: &App, id: &str) -> Result<StoredClient, Ended> {
    let id = id.parse().map_err(|_| Ended::usage("a client id"))?;
    let found = app.store.client(&id).await?;
    found.ok_or_else(|| Ended::refused("no such client"))
}

async fn put(app: &App, client: &Client, source: &str) -> Result<(), Ended> {
    let now = app.now();
    let mut event = app.event(Kind::ClientChanged, &app.txn(now), now).fact("by", startup::COMMAND);
    event.client = Some(client.id.clone());
    let mut commit = Commit::new(event);
    match app.store.client(&client.id).await? {
        Some(old) => commit.write(Write::client_changed(&old, client, source)),
        None => commit.write(Write::client_added(client, source)),
    };
    app.commit(commit).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::tests::world::World;

    #[tokio::test]
    async fn a_new_secret_leaves_a_client_where_it_came_from() {
        let made = crate::oidc::tests::world::client("desk", json!({"auth": "client_secret_post"}));
        let World { app, .. } = World::new(vec![made.clone()]).await;
        put(&app, &made, startup::CONFIGURATION).await.ok().unwrap();
        client(&app, ClientCommand::Disable { id: "desk".into() }, false).await.ok().unwrap();
        client(&app, ClientCommand::Secret { id: "desk".into() }, false).await.ok().unwrap();
        let source = async || known(&app, "desk").await.ok().unwrap().source;
        assert_eq!(source().await, "command/configuration");
        client(&app, ClientCommand::Enable { id: "desk".into() }, false).await.ok().unwrap();
        assert_eq!(source().await, startup::CONFIGURATION);
    }
}

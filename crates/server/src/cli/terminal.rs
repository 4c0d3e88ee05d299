//! `countersign terminal`: screens with a key of their own.

use super::{Ended, bulk};
use super::admin::show;
use crate::app::seats;
use crate::app::terminals::{self, Wanted};
use crate::app::App;
use countersign_trust::device::DeviceState;
use countersign_wire::Time;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum TerminalCommand {
    /// Make a link that registers one terminal, once, or one for each of a list.
    Invite {
        /// What it is called: on its own screen and on phones.
        #[arg(long, required_unless_present = "bulk")]
        name: Option<String>,
        /// Where it will stand, in words.
        #[arg(long, required_unless_present = "bulk")]
        place: Option<String>,
        /// till, kiosk, workstation, console, another class of the configuration; or shared-phone: a phone that a shift shares.
        #[arg(long, default_value = "till")]
        class: String,
        /// A site of the configuration: it must speak from one of its networks.
        #[arg(long)]
        site: Option<String>,
        /// A file with one terminal a line: JSON, {"name": …, "place": …, "class": …, "site": …}, or CSV with such columns.
        /// All of them, or none where a line is wrong.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "place", "site"])]
        bulk: Option<PathBuf>,
    },
    /// All terminals.
    List,
    /// Who has a seat on a phone that a shift shares.
    Seats {
        /// Id or name.
        terminal: String,
    },
    /// Another name, place or site.
    Rename {
        /// Id or name.
        terminal: String,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        place: Option<String>,
        #[arg(long)]
        site: Option<String>,
    },
    /// Stop a terminal for now; what runs there ends.
    Suspend { terminal: String },
    /// Let a suspended terminal act again.
    Resume { terminal: String },
    /// A terminal that was stolen: it ends for good.
    Lost { terminal: String },
    /// End a terminal for good, in peace.
    Retire { terminal: String },
    /// End a terminal for good, or take back a link that nobody used.
    Revoke { terminal: String },
}

/// `countersign terminal`.
pub async fn run(app: &App, what: TerminalCommand, as_json: bool) -> Result<(), Ended> {
    let (terminal, to) = match what {
        TerminalCommand::Invite { name, place, class, site, bulk } => {
            return match (bulk, name, place) {
                (Some(file), ..) => invite_list(app, bulk::read(&file)?, as_json).await,
                (None, Some(name), Some(place)) => invite(app, &[Wanted { name, place, class, site }], as_json).await,
                _ => Err(Ended::usage("--name and --place, or --bulk")),
            };
        }
        TerminalCommand::List => return list(app, as_json).await,
        TerminalCommand::Seats { terminal } => return list_seats(app, &terminal, as_json).await,
        TerminalCommand::Rename { terminal, name, place, site } => {
            return Ok(terminals::rename(app, &terminal, name.as_deref(), place.as_deref(), site.as_deref()).await?);
        }
        TerminalCommand::Suspend { terminal } => (terminal, DeviceState::Suspended),
        TerminalCommand::Resume { terminal } => (terminal, DeviceState::Active),
        TerminalCommand::Lost { terminal } => (terminal, DeviceState::Lost),
        TerminalCommand::Retire { terminal } => (terminal, DeviceState::Retired),
        TerminalCommand::Revoke { terminal } => (terminal, DeviceState::Revoked),
    };
    Ok(terminals::change(app, &terminal, to).await?)
}

/// All of a list, or none; what is wrong is told by its line. A table in gives a table of links out.
async fn invite_list(app: &App, list: bulk::List, as_json: bool) -> Result<(), Ended> {
    let (numbers, wanted): (Vec<usize>, Vec<Wanted>) = list.lines.into_iter().unzip();
    let found = terminals::faults(app, &wanted).await?;
    let faults: Vec<(usize, String)> = found.into_iter().filter_map(|(at, why)| Some((*numbers.get(at)?, why.to_owned()))).collect();
    if !faults.is_empty() {
        return Err(bulk::wrong(&faults));
    }
    if as_json || !list.is_csv {
        return invite(app, &wanted, as_json).await;
    }
    let links = terminals::invite(app, &wanted).await?;
    println!("name,place,class,site,link,until");
    for made in &links {
        let (f, until) = (&made.terminal.facts, made.terminal.until.seconds().to_string());
        println!("{}", bulk::line(&[&f.name, &f.place, &f.class, f.site.as_deref().unwrap_or_default(), &made.link, &until]));
    }
    Ok(())
}

async fn invite(app: &App, list: &[Wanted], as_json: bool) -> Result<(), Ended> {
    for made in terminals::invite(app, list).await? {
        let t = &made.terminal;
        let f = &t.facts;
        if as_json {
            println!("{}", json!({"terminal": t.id, "name": f.name, "place": f.place, "class": f.class, "site": f.site, "link": made.link, "until": t.until.seconds()}));
        } else {
            println!("{} ({}): open this on that screen. It works once, for 24 hours.", f.name, f.place);
            show(&made.link);
        }
    }
    Ok(())
}

async fn list_seats(app: &App, terminal: &str, as_json: bool) -> Result<(), Ended> {
    let (phone, seats) = seats::on(app, terminal).await?;
    for (d, name, login) in seats {
        let (v, state) = (&d.device, d.device.state.as_str());
        if as_json {
            println!("{}", json!({"device": v.id, "terminal": phone, "state": state, "name": name, "login": login, "added_at": v.added_at.seconds()}));
        } else {
            println!("{}  {state:10} {login:24} {name}", v.id);
        }
    }
    Ok(())
}

async fn list(app: &App, as_json: bool) -> Result<(), Ended> {
    for t in terminals::all(app).await? {
        let f = &t.facts;
        let key = match (&f.key, f.attested) {
            (None, _) => "none",
            (Some(_), true) => "tpm",
            (Some(_), false) => "software",
        };
        let opened = t.opened_at.map(Time::seconds);
        if as_json {
            println!("{}", json!({
                "terminal": t.id, "state": t.state.as_str(), "name": f.name, "place": f.place, "class": f.class, "site": f.site, "key": key,
                "attested": f.attested, "thumbprint": t.jkt, "opened": t.counter, "opened_at": opened, "added_at": t.added_at.seconds(),
            }));
        } else {
            println!("{} {:10} {:12} {:9} {:24} {}", t.id, t.state.as_str(), f.class, key, f.name, f.place);
        }
    }
    Ok(())
}

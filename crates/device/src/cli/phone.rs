//! Commands of the phone.

use super::args::{Command, Options};
use super::Found;
use countersign_device::console::{phone as screen, say};
use countersign_device::phone::{Checked, InviteLink};
use countersign_device::{Fault, Phone, SoftwareKey};
use countersign_wire::CeremonyId;
use countersign_wire::message::Invite;
use serde_json::{Value, json};

pub(super) async fn enrol(options: &Options, link: &str, name: &str, synced: bool) -> Result<Found, Fault> {
    InviteLink::parse(link)?;
    let (http, folder) = (options.http(), Some(options.folder()?));
    let phone = if synced {
        Phone::enrol_synced(http, link, name, folder).await?
    } else {
        Phone::enrol(http, link, name, folder).await?
    };
    Ok(enrolled(&phone))
}

pub(super) async fn rebind(options: &Options, name: &str) -> Result<Found, Fault> {
    let mut phone = options.phone()?;
    let made = phone.rebind(SoftwareKey::generate()?, name).await?;
    let line = match made.device_state.as_str() {
        "pending" => "This device waits until another of yours allows it.",
        _ => "This device has a new key. For 24 hours it has reduced rights.",
    };
    Ok(Found::new(vec![line.into()], json!({ "device": made.device_id, "state": made.device_state })))
}

pub(super) fn enrolled(phone: &Phone) -> Found {
    let kept = phone.kept();
    Found::new(
        vec![
            format!("This device is enrolled for {} at {}.", say::tidy(&kept.person), say::tidy(&kept.organisation)),
            "Its keys are software keys: files that whoever may read this account's files can copy.".into(),
        ],
        json!({ "device": kept.device_id, "name": kept.device_name, "person": kept.person, "issuer": kept.issuer }),
    )
}

pub(super) async fn run(options: &Options, command: &Command) -> Result<Found, Fault> {
    let phone = options.phone()?;
    let done = |line: &str| Ok(Found::done(line));
    match command {
        Command::Phone => {
            screen::run(&mut options.console(), &phone).await?;
            Ok(Found::new(vec![], json!({ "done": true })))
        }
        Command::List => {
            let overview = phone.overview().await?;
            Ok(Found::new(say::overview(&overview), as_json(&overview)?))
        }
        Command::Pending => {
            let found = phone.pending().await?;
            let lines = found.pending.iter().map(|p| format!("{}  {} asks for you.", p.cid, say::tidy(&p.client))).collect();
            Ok(Found::new(lines, as_json(&found)?))
        }
        Command::Scan { code } => asked(&phone, &phone.scan_read(&phone.read(code)?).await?),
        Command::Take { cid } => asked(&phone, &phone.take(&id(cid)?).await?),
        Command::Approve { cid, digits } => approve(&phone, cid.as_deref(), digits.as_deref()).await,
        Command::Refuse { cid } => {
            let state = refuse(&phone, cid.as_deref(), false).await?;
            Ok(Found::new(vec!["Refused. Nothing was opened.".into()], json!({ "state": state })))
        }
        Command::NotMe { cid } => {
            let state = refuse(&phone, cid.as_deref(), true).await?;
            Ok(Found::new(
                vec!["Stopped. That screen can’t ask you for 15 minutes. Your other devices were told.".into()],
                json!({ "state": state }),
            ))
        }
        Command::End { all: true, .. } => {
            phone.end_all().await?;
            done("Ended.")
        }
        Command::End { session: Some(session), .. } => {
            phone.end(session).await?;
            done("Ended.")
        }
        Command::Lost { device } => {
            phone.lost(device).await?;
            done("It can’t approve any more; all it opened is closed.")
        }
        Command::Allow { device } => {
            phone.allow(device).await?;
            done("Allowed.")
        }
        Command::NotMine { device } => {
            phone.not_mine(device).await?;
            done("It is out.")
        }
        Command::Rename { device, name } => {
            phone.rename(device, name).await?;
            done("Renamed.")
        }
        Command::UserCode { remove: true } => {
            phone.user_code("").await?;
            done("Removed.")
        }
        Command::UserCode { remove: false } => {
            let mut word = String::new();
            std::io::stdin().read_line(&mut word).map_err(|e| Fault::Local(e.to_string()))?;
            match word.trim() {
                "" => Err(Fault::Usage("no word on standard input; `--remove` removes it".into())),
                word => {
                    phone.user_code(word).await?;
                    done("Kept. Tell it only to those who may ask for you.")
                }
            }
        }
        Command::Undo { notice } => {
            phone.undo(notice).await?;
            done("Undone.")
        }
        Command::Ok { notice } => {
            phone.ok(notice).await?;
            done("Noted.")
        }
        Command::Invite { name, login, role } => {
            let made = phone.invite(&Invite { name: name.clone(), login: login.clone(), role: role.clone() }).await?;
            Ok(Found::new(vec![made.link.clone()], as_json(&made)?))
        }
        Command::Story { cid } => {
            let story = phone.story(&id(cid)?).await?;
            Ok(Found::new(say::story(&story.events, &story.verdicts), as_json(&story)?))
        }
        _ => Err(Fault::Usage("that is no command of the phone".into())),
    }
}

async fn approve(phone: &Phone, cid: Option<&str>, digits: Option<&str>) -> Result<Found, Fault> {
    let checked = again(phone, cid).await?;
    if checked.asks_digits_here() {
        let digits = digits.ok_or_else(|| Fault::Usage("the screen shows digits: give them with `--digits`".into()))?;
        phone.confirm(&checked.statement.cid, digits).await?;
    }
    let state = phone.approve(&checked).await?.state;
    Ok(Found::new(vec!["Approved.".into()], json!({ "state": state, "cid": checked.statement.cid })))
}

/// Refuses with the statement where this phone has one, and without where it was only offered.
async fn refuse(phone: &Phone, cid: Option<&str>, not_me: bool) -> Result<String, Fault> {
    let done = match again(phone, cid).await {
        Ok(checked) if not_me => phone.not_me(&checked).await,
        Ok(checked) => phone.refuse(&checked).await,
        Err(fault) if fault.is("no_such_ceremony") => match cid {
            Some(text) => phone.refuse_unseen(&id(text)?, not_me).await,
            None => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    done.map(|only| only.state)
}

async fn again(phone: &Phone, cid: Option<&str>) -> Result<Checked, Fault> {
    let cid = match cid {
        Some(text) => id(text)?,
        None => phone.kept().last.ok_or_else(|| Fault::Usage("nothing was scanned yet".into()))?,
    };
    phone.look_again(&cid).await
}

/// What a request asks, as the interactive phone would show it.
fn asked(phone: &Phone, checked: &Checked) -> Result<Found, Fault> {
    let mut lines: Vec<String> = say::digits(checked).into_iter().collect();
    lines.extend(say::statement(&checked.statement, &phone.kept().person));
    if checked.asks_digits_here() {
        lines.push(format!("The screen shows {} digits: approve with `--digits`.", checked.view.n.unwrap_or(4)));
    }
    lines.push(format!("refuse {0}   approve {0}", checked.statement.cid));
    let json = json!({
        "cid": checked.statement.cid,
        "state": checked.view.state,
        "statement": as_json(&checked.statement)?,
        "ask": checked.view.ask,
        "digits": checked.view.digits,
        "left_ms": checked.view.left_ms,
    });
    Ok(Found::new(lines, json))
}

fn id(text: &str) -> Result<CeremonyId, Fault> {
    text.parse().map_err(|_| Fault::Usage(format!("`{}` is no request's id", say::tidy(text))))
}

fn as_json<T: serde::Serialize>(value: &T) -> Result<Value, Fault> {
    serde_json::to_value(value).map_err(|e| Fault::Local(format!("cannot encode: {e}")))
}

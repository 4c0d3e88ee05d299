//! The phone on a text screen: what arrives is shown, and a person decides.

use super::{Console, say};
use crate::phone::Checked;
use crate::terminal::is_final;
use crate::{Fault, Phone};
use countersign_wire::CeremonyId;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two looks at what is pending, seconds.
const LOOK_S: u64 = 5;
/// Between two looks at a request on the screen, seconds.
const FOLLOW_S: u64 = 1;
/// How long an approved screen is waited for, seconds.
const OPEN_S: u64 = 20;

/// How a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Approved, and the screen collected it.
    Open,
    /// Approved; the screen did not collect it while we looked.
    Approved,
    /// Refused here.
    Refused,
    /// It ended without this person.
    Ended,
}

/// Why the interactive phone stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The person left.
    Quit,
    /// There is no more input, and perhaps never was any.
    NoInput,
}

/// The interactive phone: runs until `quit`, the end of input, or Ctrl-C.
pub async fn run(console: &mut Console, phone: &Phone) -> Result<Left, Fault> {
    let kept = phone.kept();
    console.line(&format!("{} of {}, enrolled with {}.", say::tidy(&kept.device_name), say::tidy(&kept.person), kept.issuer))?;
    console.line("list: what is open   end ID, end all   quit")?;
    let mut known = BTreeSet::new();
    loop {
        console.write("Type the code from the screen, or paste its link: ")?;
        let line = tokio::select! {
            line = typed_or_pending(console, phone, &mut known) => line?.ok_or(Left::NoInput),
            _ = tokio::signal::ctrl_c() => Err(Left::Quit),
        };
        let line = match line {
            Ok(line) => line,
            Err(left) => {
                console.line("")?;
                return Ok(left);
            }
        };
        let done = match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            [] => Ok(()),
            ["quit" | "q"] => return Ok(Left::Quit),
            ["list"] => list(console, phone).await,
            ["end", "all"] => tell(console, phone.end_all().await, "Ended."),
            ["end", id] => tell(console, phone.end(id).await, "Ended."),
            ["undo", id] => tell(console, phone.undo(id).await, "Undone."),
            ["look", id] => take(console, phone, id).await,
            ["no", id] => refuse_offer(console, phone, id).await,
            _ => match phone.read(&line) {
                Ok(read) => match phone.scan_read(&read).await {
                    Ok(checked) => decide(console, phone, checked).await.map(|_| ()),
                    Err(fault) => Err(fault),
                },
                Err(fault) => Err(fault),
            },
        };
        match done {
            Err(Fault::Local(why)) => return Err(Fault::Local(why)),
            Err(fault) => console.line(&say::on_phone(&fault))?,
            Ok(()) => {}
        }
    }
}

async fn typed_or_pending(console: &mut Console, phone: &Phone, known: &mut BTreeSet<String>) -> Result<Option<String>, Fault> {
    loop {
        tokio::select! {
            line = console.typed() => return Ok(line),
            () = tokio::time::sleep(Duration::from_secs(LOOK_S)) => {}
        }
        // Not reaching the server for a moment is no news; the next look may.
        let Ok(found) = phone.pending().await else { continue };
        for item in found.pending {
            if known.insert(item.cid.clone()) {
                console.line("")?;
                console.line(&format!("{} asks for you. Did you start this on a screen in front of you?", say::tidy(&item.client)))?;
                console.write(&format!("`no {0}` refuses it, `look {0}` shows it: ", item.cid))?;
            }
        }
    }
}

async fn list(console: &mut Console, phone: &Phone) -> Result<(), Fault> {
    for line in say::overview(&phone.overview().await?) {
        console.line(&line)?;
    }
    Ok(())
}

async fn take(console: &mut Console, phone: &Phone, id: &str) -> Result<(), Fault> {
    let cid: CeremonyId = id.parse().map_err(|_| Fault::Usage("that is no request".into()))?;
    let checked = phone.take(&cid).await?;
    decide(console, phone, checked).await.map(|_| ())
}

async fn refuse_offer(console: &mut Console, phone: &Phone, id: &str) -> Result<(), Fault> {
    let cid: CeremonyId = id.parse().map_err(|_| Fault::Usage("that is no request".into()))?;
    phone.refuse_unseen(&cid, false).await?;
    console.line("Refused. Nothing was opened.")
}

fn tell(console: &mut Console, done: Result<(), Fault>, word: &str) -> Result<(), Fault> {
    done?;
    console.line(word)
}

/// Shows `checked` and lets the person decide.
pub async fn decide(console: &mut Console, phone: &Phone, checked: Checked) -> Result<Outcome, Fault> {
    let cid = checked.statement.cid.clone();
    console.line("")?;
    if let Some(digits) = say::digits(&checked) {
        console.line(&console.bold(&digits))?;
        console.line("")?;
    }
    for (at, line) in say::statement(&checked.statement, &phone.kept().person).into_iter().enumerate() {
        let line = if at == 0 { console.bold(&line) } else { line };
        console.line(&line)?;
    }
    let mut asked_here = checked.asks_digits_here();
    let mut told = checked.view.state.clone();
    loop {
        let left = checked.left(crate::machine::tick());
        if left.is_zero() {
            console.line("Time ran out. Nothing was opened.")?;
            return Ok(Outcome::Ended);
        }
        let n = checked.view.n.unwrap_or(4);
        console.write(&if asked_here {
            format!("[r] refuse, or type the {n} digits that the screen shows: ")
        } else {
            format!("[r] refuse  [a] approve  (Enter does nothing)  {} ", say::left(left))
        })?;
        let line = tokio::select! {
            line = console.typed() => line,
            _ = tokio::signal::ctrl_c() => None,
            state = follow(phone, &cid, &told, left) => {
                console.line("")?;
                if is_final(&state) {
                    console.line(if state == "expired" { "Time ran out. Nothing was opened." } else { "This has ended. Nothing was opened." })?;
                    return Ok(Outcome::Ended);
                }
                if state == "confirmed" {
                    console.line("The digits match.")?;
                    asked_here = false;
                }
                told = state;
                continue;
            }
        };
        let done = match line.as_deref() {
            None => {
                console.line("")?;
                return refuse(console, phone, &checked, false).await;
            }
            Some("r" | "R") => return refuse(console, phone, &checked, true).await,
            Some("a" | "A") if !asked_here => match phone.approve(&checked).await {
                Ok(_) => return opened(console, phone, &cid).await,
                Err(fault) => Err(fault),
            },
            Some(digits) if asked_here && !digits.is_empty() => {
                let digits: String = digits.chars().filter(|c| !c.is_whitespace()).collect();
                match phone.confirm(&cid, &digits).await {
                    Ok(_) => {
                        asked_here = false;
                        Ok(())
                    }
                    Err(fault) => Err(fault),
                }
            }
            Some(_) => Ok(()),
        };
        match done {
            Err(fault) if fault.is("wrong_code") || fault.is("confirm_first") => console.line(&say::on_phone(&fault))?,
            Err(fault) => return Err(fault),
            Ok(()) => {}
        }
    }
}

/// Waits until the request is in another state than `told`, or `left` is over.
async fn follow(phone: &Phone, cid: &CeremonyId, told: &str, left: Duration) -> String {
    let end = crate::machine::tick() + left;
    while crate::machine::tick() < end {
        tokio::time::sleep(Duration::from_secs(FOLLOW_S)).await;
        // Not reaching the server for a moment is no news.
        if let Ok(view) = phone.look(cid).await
            && view.state != told
        {
            return view.state;
        }
    }
    "expired".into()
}

async fn refuse(console: &mut Console, phone: &Phone, checked: &Checked, ask: bool) -> Result<Outcome, Fault> {
    phone.refuse(checked).await?;
    console.line("Refused. Nothing was opened.")?;
    if ask {
        console.line("Did someone else start it? Then requests to you from that screen are stopped for 15 minutes.")?;
        console.write("[m] this was not me, anything else: leave it ")?;
        if matches!(console.typed().await.as_deref(), Some("m" | "M")) {
            phone.not_me(checked).await?;
            console.line("Stopped. Your other devices were told.")?;
        }
    }
    Ok(Outcome::Refused)
}

async fn opened(console: &mut Console, phone: &Phone, cid: &CeremonyId) -> Result<Outcome, Fault> {
    console.line("Approved.")?;
    let end = crate::machine::tick() + Duration::from_secs(OPEN_S);
    while crate::machine::tick() < end {
        if let Ok(view) = phone.look(cid).await {
            match view.state.as_str() {
                "redeemed" => {
                    console.line("The screen is open. You can put the phone away. `list` shows it, `end` closes it from anywhere.")?;
                    return Ok(Outcome::Open);
                }
                state if is_final(state) => {
                    console.line("The screen did not collect it. Nothing was opened.")?;
                    return Ok(Outcome::Ended);
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_secs(FOLLOW_S)).await;
    }
    Ok(Outcome::Approved)
}

//! The screen of a console terminal: the live code, the digits, the greeting.

use super::code::{Painter, tally};
use super::{Console, say};
use crate::play::ended;
use crate::terminal::{Ceremony, Watch, is_final};
use crate::{Fault, Terminal};
use countersign_wire::limits::{FRAME_MS, OPENED_S};
use countersign_wire::message::{RedeemedReply, StateView};
use std::time::Duration;

/// How a person came through.
pub struct Collected {
    /// What the server gave.
    pub reply: RedeemedReply,
    /// Where to go on; absent for an enrolment, whose ticket is in the reply.
    pub next: Option<String>,
}

/// Shows `ceremony` until a phone approved it, and collects. `headline` says what for. Interrupted
/// (Ctrl-C), it gives the ceremony up.
pub async fn run(console: &mut Console, terminal: &Terminal, ceremony: &Ceremony, headline: &str) -> Result<Collected, Fault> {
    let shown = tokio::select! {
        shown = show(console, terminal, ceremony, headline) => shown,
        _ = tokio::signal::ctrl_c() => Err(Fault::Person("stopped here, nothing was opened".into())),
    };
    if let Err(Fault::Person(_) | Fault::Local(_)) = &shown {
        // Nobody is watching any more; whether the server hears it changes nothing here.
        let _ = terminal.abandon(ceremony).await;
    }
    shown
}

async fn show(console: &mut Console, terminal: &Terminal, ceremony: &Ceremony, headline: &str) -> Result<Collected, Fault> {
    let mut watch = terminal.watch(ceremony);
    let mut view = wait_for_scan(console, terminal, ceremony, &mut watch, headline).await?;
    console.line("Look at your phone. It shows what you are about to open here.")?;
    let mut typed = false;
    let mut shown = false;
    while view.state != "approved" {
        if is_final(&view.state) {
            return Err(ended(&view.state));
        }
        match view.ask.as_deref() {
            Some("type_here") if !typed => {
                typed = type_here(console, terminal, ceremony, view.n.unwrap_or(4)).await?;
                // What is asked may have changed within one state, which a poll would not tell.
                view = terminal.state(ceremony, None).await?;
                continue;
            }
            Some("type_there") if !shown => {
                let digits = view.digits.as_deref().map(say::tidy).unwrap_or_default();
                console.line(&format!("Now type this on your phone: {}", console.bold(&digits)))?;
                shown = true;
            }
            _ => {}
        }
        view = watch.next().await?;
    }
    console.line("Approved.")?;
    let reply = terminal.redeem(ceremony).await?;
    let next = if reply.greet { greet(console, terminal, ceremony, &reply.name).await? } else { reply.next.clone() };
    Ok(Collected { reply, next })
}

/// Draws each frame until the state is another than `opened`.
async fn wait_for_scan(
    console: &mut Console,
    terminal: &Terminal,
    ceremony: &Ceremony,
    watch: &mut Watch<'_>,
    headline: &str,
) -> Result<StateView, Fault> {
    let origin = terminal.origin();
    let host = origin.split_once("://").map_or(origin.as_str(), |(_, host)| host).to_owned();
    let painter = Painter::new(&ceremony.link(&origin), console.colour)?;
    let drawn = console.colour
        && console.room.is_some_and(|(columns, rows)| {
            usize::from(columns) >= painter.columns() + 36 && usize::from(rows) > painter.columns() / 2 + 1
        });
    // The typed code lives on after the one to scan.
    let life_ms = i64::try_from(ceremony.life.as_millis()).unwrap_or(i64::MAX).min(OPENED_S * 1000);
    let words = [
        console.bold(headline),
        "Scan with the phone you enrolled.".to_owned(),
        format!("No camera? Open {host}/code"),
        format!("and type {}", ceremony.user_code),
    ];
    if !drawn {
        console.line(headline)?;
        console.line(&format!("Open {host}/code on the phone you enrolled"))?;
        console.line(&format!("and type {}", ceremony.user_code))?;
    }
    let mut lines = 0;
    let mut told = !drawn;
    loop {
        let over = ceremony.age_ms() >= life_ms;
        if over && !told {
            console.redraw(lines, &[])?;
            console.line("The code to scan has run out. The typed one works a little longer:")?;
            console.line(&format!("open {host}/code and type {}", ceremony.user_code))?;
            (lines, told) = (0, true);
        }
        if drawn && !over {
            let strokes = tally(life_ms.saturating_sub(ceremony.age_ms()), life_ms);
            let rows = painter.picture(&ceremony.link(&origin), &words, &format!("{strokes}  Live"))?;
            console.redraw(lines, &rows)?;
            lines = rows.len();
        }
        let into = ceremony.age_ms().rem_euclid(FRAME_MS);
        let rest = Duration::from_millis(FRAME_MS.saturating_sub(into).unsigned_abs());
        let heard = tokio::select! {
            view = watch.next() => Some(view?),
            () = tokio::time::sleep(rest) => None,
        };
        if let Some(view) = heard.filter(|view| view.state != "opened") {
            if lines > 0 {
                console.redraw(lines, &[])?;
            }
            return Ok(view);
        }
    }
}

/// Asks for the digits on the phone; true once they were right.
async fn type_here(console: &mut Console, terminal: &Terminal, ceremony: &Ceremony, n: u8) -> Result<bool, Fault> {
    loop {
        console.write(&format!("Type its {n} digits here: "))?;
        // The ceremony may end while nobody types.
        let typed = loop {
            tokio::select! {
                typed = console.typed() => break typed,
                view = terminal.state(ceremony, Some("scanned")) => {
                    let view = view?;
                    if view.state != "scanned" {
                        console.line("")?;
                        return if is_final(&view.state) { Err(ended(&view.state)) } else { Ok(true) };
                    }
                }
            }
        };
        let digits: String = typed
            .ok_or_else(|| Fault::Local("nobody is here to type the digits".into()))?
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        if digits.is_empty() {
            continue;
        }
        match terminal.confirm(ceremony, &digits).await {
            Ok(_) => return Ok(true),
            Err(fault) if fault.is("wrong_code") => console.line(&say::on_screen(&fault))?,
            Err(fault) => return Err(fault),
        }
    }
}

async fn greet(console: &mut Console, terminal: &Terminal, ceremony: &Ceremony, name: &str) -> Result<Option<String>, Fault> {
    console.line(&format!("You are {}?", console.bold(&say::tidy(name))))?;
    console.line("If that is not your name, someone else approved this screen.")?;
    loop {
        console.write("[n] not me  [y] continue  (Enter does nothing) ")?;
        match console.typed().await.as_deref() {
            Some("y" | "Y") => return Ok(Some(terminal.proceed(ceremony).await?.next)),
            Some("n" | "N") => return Err(Fault::Person("closed, someone else approved this screen".into())),
            Some(_) => {}
            None => return Err(Fault::Local("nobody is here to answer the greeting".into())),
        }
    }
}

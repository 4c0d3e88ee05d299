//! Rights without the line: commands of terminals, and the one of phones.

use super::Found;
use super::args::{Glass, Options};
use countersign_device::console::code::Painter;
use countersign_device::console::{Console, say};
use countersign_device::terminal::{Ask, Opening, Registered};
use countersign_device::{Fault, machine};
use countersign_wire::PersonId;
use countersign_wire::glass::{Answer, Why};
use countersign_wire::message::GlassTaken;
use serde_json::json;

pub(super) async fn run(options: &Options, wanted: &Glass) -> Result<Found, Fault> {
    match wanted {
        Glass::Ready => {
            options.phone()?.learn_keys().await?;
            Ok(Found::done("This phone knows the server by its keys of today."))
        }
        Glass::Approve { slip, yes } => approve(options, slip.as_deref(), *yes).await,
        Glass::Take { client } => {
            let sealed = registered(options)?.glass_take(&options.http(), client).await?;
            let lines = vec![
                format!("{} uses of {} for {}, each {} at most.", sealed.uses, say::tidy(&sealed.scopes.join(" ")), say::tidy(&sealed.client_name), say::span(sealed.for_s)),
                format!("Good until {}.", say::clock(sealed.exp)),
            ];
            Ok(Found::new(lines, json!(sealed)))
        }
        Glass::Show => show(options),
        Glass::Open { scopes, reason, minutes, works } => {
            let works = works.as_deref().map(str::parse::<PersonId>).transpose().map_err(|_| Fault::Usage("`--works` takes a person's id: `sub` of their token".into()))?;
            let ask = Ask { scopes: scopes.clone(), for_s: minutes.map(|m| m * 60), reason: reason.clone(), works };
            open(options, &ask).await
        }
        Glass::End => Ok(match registered(options)?.glass_end(&options.http()).await? {
            None => Found::new(vec!["There is nothing to hand in.".into()], json!({ "handed_in": false })),
            Some(GlassTaken { uses, why: None }) => Found::new(vec![format!("Handed in: {uses} uses. They wait for review.")], json!({ "handed_in": true, "uses": uses })),
            Some(GlassTaken { uses, why: Some(why) }) => {
                let lines = vec![format!("Handed in, and not believed (`{}`): this terminal is suspended. {uses} uses were in order.", say::tidy(&why))];
                Found::new(lines, json!({ "handed_in": true, "uses": uses, "why": why }))
            }
        }),
    }
}

fn registered(options: &Options) -> Result<Registered, Fault> {
    Registered::load(options.folder()?, options.tpm()?)
}

fn show(options: &Options) -> Result<Found, Fault> {
    let Some(kept) = registered(options)?.glass()? else {
        return Ok(Found::new(vec!["This terminal has no grant.".into()], json!({ "grant": null })));
    };
    let judged = kept.judged()?;
    let s = &judged.grant.sealed;
    let mut lines = vec![
        format!("{} for {}: {} of {} uses.", say::tidy(&s.scopes.join(" ")), say::tidy(&s.client_name), judged.opened.len(), s.uses),
        format!("Good until {}.", say::clock(s.exp)),
    ];
    if kept.handed_in {
        lines.push("It was handed in.".into());
    }
    lines.extend(judged.opened.iter().map(|o| format!("  {} until {}, by {} and {}", say::tidy(&o.scopes.join(" ")), say::clock(o.end), say::tidy(&o.by[0].name), say::tidy(&o.by[1].name))));
    Ok(Found::new(lines, json!({ "grant": s, "uses": judged.opened.len(), "closed": judged.is_closed, "handed_in": kept.handed_in })))
}

/// Shows the question, reads two answers, and gives what they opened: the bundle, on standard output.
async fn open(options: &Options, ask: &Ask) -> Result<Found, Fault> {
    let terminal = registered(options)?;
    let opening = terminal.glass_ask(ask, machine::now())?;
    let mut console = options.console();
    for line in say::glass(&opening.sealed, &opening.challenge) {
        console.line(&line)?;
    }
    console.line("")?;
    draw(&mut console, &opening)?;
    console.line(&opening.slip.text())?;
    console.line("")?;
    console.line("Two people of the list approve this, one of them a supervisor: `countersign-device glass approve` on the phone of each.")?;
    let mut answers: Vec<Answer> = Vec::new();
    while answers.len() < 2 {
        console.write(&format!("Answer {} of 2: ", answers.len() + 1))?;
        let line = console.typed().await.ok_or_else(|| Fault::Person("fewer than two people approved".into()))?;
        match Answer::parse(&line) {
            Ok(answer) => answers.push(answer),
            Err(_) if line.is_empty() => {}
            Err(_) => console.line("That is no answer of a phone.")?,
        }
    }
    console.line("")?;
    let answers: [Answer; 2] = answers.try_into().map_err(|_| Why::Malformed)?;
    let (opened, bundle) = terminal.glass_keep(&opening, answers, machine::now())?;
    console.line(&format!("Open until {}, by {} and {}. It is written down, and will be looked at.", say::clock(opened.end), say::tidy(&opened.by[0].name), say::tidy(&opened.by[1].name)))?;
    let json = json!(bundle);
    Ok(Found::new(vec![json.to_string()], json))
}

/// The question as a picture, where there is room for it.
fn draw(console: &mut Console, opening: &Opening) -> Result<(), Fault> {
    let text = opening.slip.text();
    let Some((columns, rows)) = console.room else { return Ok(()) };
    let Ok(painter) = Painter::new(&text, console.colour) else { return Ok(()) };
    if painter.columns() <= usize::from(columns) && painter.columns() / 2 + 8 <= usize::from(rows) {
        for row in painter.rows(&text)? {
            console.line(&row)?;
        }
    }
    Ok(())
}

/// On the phone: reads what the terminal shows, says it in words, and answers if its person says yes.
async fn approve(options: &Options, slip: Option<&str>, yes: bool) -> Result<Found, Fault> {
    let phone = options.phone()?;
    let mut console = options.console();
    let text = match slip {
        Some(text) => text.to_owned(),
        None => {
            console.write("What the terminal shows (CSG1.…): ")?;
            console.typed().await.ok_or_else(|| Fault::Usage("nothing was given".into()))?
        }
    };
    let mut read = phone.glass_read(&text, machine::now());
    // Only a key that this phone has not seen is worth a question.
    if matches!(read, Err(Fault::Glass(Why::Grant))) && phone.learn_keys().await.is_ok() {
        read = phone.glass_read(&text, machine::now());
    }
    let shown = read?;
    for line in say::glass(&shown.sealed, &shown.challenge) {
        console.line(&line)?;
    }
    console.line("Approve only if you stand before this terminal and know why. You are named for it, and somebody else will ask.")?;
    if !yes {
        console.write("[a] approve, anything else: no ")?;
        if !matches!(console.typed().await.as_deref(), Some("a" | "A")) {
            return Err(Fault::Person("not approved on this phone".into()));
        }
    }
    let answer = phone.glass_approve(&shown)?.text();
    Ok(Found::new(vec![answer.clone()], json!({ "answer": answer })))
}

//! Sentences. They are the catalogue's, as far as a text screen has use for them.

use crate::Fault;
use crate::phone::Checked;
use countersign_wire::glass::{Challenge, Sealed};
use countersign_wire::message::{ActivityItem, Overview};
use countersign_wire::statement::{Boundary, Near, Purpose, Statement};
use serde_json::Value;
use std::time::Duration;

/// Last line of every question.
pub const REFUSE_IF: &str = "Refuse if you did not start this on a screen in front of you.";

/// Text from outside, fit for a terminal: nothing in it moves the cursor or turns the writing.
pub fn tidy(text: &str) -> String {
    text.chars()
        .map(|c| if countersign_wire::jcs::is_plain(c.encode_utf8(&mut [0; 4])) { c } else { '?' })
        .take(200)
        .collect()
}

/// `one` or `{n} many`.
fn count(n: i64, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

/// A span in its largest fitting unit.
pub fn span(seconds: i64) -> String {
    match seconds {
        s if s < 60 => count(s.max(0), "second"),
        s if s < 2 * 3600 => count((s + 30) / 60, "minute"),
        s if s < 48 * 3600 => count((s + 1800) / 3600, "hour"),
        s => count((s + 43_200) / 86_400, "day"),
    }
}

/// Time left, from half a minute on in seconds.
pub fn left(time: Duration) -> String {
    let s = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    if s <= 30 { format!("{} left", count(s, "second")) } else { format!("About {} left", count((s + 30) / 60, "minute")) }
}

/// A time of day. This program knows no time zones, so it says which one it means.
pub fn clock(seconds: i64) -> String {
    let of_day = seconds.rem_euclid(86_400);
    format!("{:02}:{:02} UTC", of_day / 3600, of_day % 3600 / 60)
}

/// The statement as a question, its rows, and the warning.
pub fn statement(of: &Statement, person: &str) -> Vec<String> {
    let agent = if of.terminal.agent.is_empty() { "an unknown screen".into() } else { tidy(&of.terminal.agent) };
    let plate = of.terminal.plate.as_ref();
    let screen = plate.map_or_else(|| "on an unknown screen".to_owned(), |p| format!("at [ {} ]", tidy(&p.name)));
    let question = match of.purpose {
        Purpose::SignIn => format!("Sign in {screen}?"),
        Purpose::StepUp => format!("Confirm that it is you {screen}?"),
        Purpose::EnrolDevice => format!("Add {agent} to your devices?"),
        Purpose::ToolCall => format!("Let the agent {agent} use a tool, once?"),
        Purpose::Right => format!("Allow {} this?", tidy(of.request.message.as_deref().unwrap_or_default())),
        Purpose::Vouch => format!("Let {} work {screen} without a phone, on your word?", tidy(of.request.message.as_deref().unwrap_or_default())),
        Purpose::Recover => format!("Let {} back in?", tidy(of.request.message.as_deref().unwrap_or_default())),
    };
    let near = match of.near.iter().max_by_key(|near| match near {
        Near::SameNetwork => 0,
        Near::Badge => 1,
        Near::Site | Near::AttestedSite => 2,
    }) {
        Some(Near::Badge) => "It has read this phone's badge.",
        Some(Near::SameNetwork) => "On the same network as this phone.",
        Some(Near::Site | Near::AttestedSite) => "It is where it belongs.",
        None => "Nothing shows that it is near you.",
    };
    let mut lines = vec![question];
    let joins = of.purpose.is_own();
    let shown = match plate {
        Some(p) if p.attested => format!("{}. Registered, with its key in its security chip.", tidy(&p.place)),
        Some(p) => format!("{}. Registered.", tidy(&p.place)),
        None => format!("{}.", agent.trim_end_matches('.')),
    };
    row(&mut lines, if joins { "Device" } else { "Screen" }, &format!("{shown} {near}"));
    if !joins {
        let host = tidy(&of.client.redirect_host);
        let host = if host.is_empty() { host } else { format!(" ({host})") };
        row(&mut lines, "Opens", &format!("{}{host}", tidy(&of.client.name)));
        let scopes: Vec<String> = of.rights.scopes.iter().map(|s| scope(s)).collect();
        if !scopes.is_empty() {
            row(&mut lines, "", &format!("It learns: {}.", scopes.join(", ")));
        }
        row(&mut lines, "", boundary(of.boundary));
        if let Some(message) = of.request.message.as_ref().filter(|_| of.purpose != Purpose::Vouch) {
            row(&mut lines, "", &format!("It says: “{}”", tidy(message)));
        }
        for detail in &of.request.details {
            row(&mut lines, "Allows", &tidy(&detail.title));
            for of in &detail.rows {
                row(&mut lines, "", &format!("{}: {}", tidy(&of.label), tidy(&of.value)));
            }
        }
        if of.rights.session_s > 0 {
            let until = clock(of.iat.saturating_add(of.rights.session_s));
            row(&mut lines, "For", &format!("{}, until {until}", span(of.rights.session_s)));
        }
    }
    row(&mut lines, "As", &tidy(person));
    lines.push(REFUSE_IF.to_owned());
    lines
}

fn row(lines: &mut Vec<String>, label: &str, value: &str) {
    lines.push(format!("  {label:<6}  {value}"));
}

/// What the approval is worth to whoever asks.
fn boundary(of: Boundary) -> &'static str {
    match of {
        Boundary::Approval => "It gets your answer and nothing else.",
        Boundary::Session => "It hears that you are here. It gets no key.",
        Boundary::Tokens => "It gets a key, and may act for you until it ends.",
    }
}

fn scope(name: &str) -> String {
    match name {
        "openid" => "who you are".into(),
        "profile" => "your name".into(),
        "email" => "your address".into(),
        "offline_access" => "all that for as long as this lasts".into(),
        other => tidy(other),
    }
}

/// What a terminal without the line asks two people: all that they sign.
pub fn glass(sealed: &Sealed, asked: &Challenge) -> Vec<String> {
    let plate = &sealed.plate;
    let mut lines = vec![
        format!("Open without the line: {}", tidy(&asked.scopes.join(" "))),
        format!("  For       {}, at most {}", tidy(&sealed.client_name), span(asked.for_s)),
        format!("  Terminal  {}, {}", tidy(&plate.name), tidy(&plate.place)),
        format!("  Reason    \u{201c}{}\u{201d}", tidy(&asked.reason)),
        format!("  Use       {} of {}, grant {} of this terminal", asked.number, sealed.uses, sealed.serial),
    ];
    lines.extend(asked.works.as_ref().map(|who| format!("  Works     {}", tidy(who.as_str()))));
    lines
}

/// What the digits of `checked` are for.
pub fn digits(checked: &Checked) -> Option<String> {
    let digits = checked.digits()?;
    Some(format!("{}   Type these on the screen in front of you. Tell them to nobody.", tidy(digits)))
}

/// A fault as a phone says it: headline, then what to do.
pub fn on_phone(fault: &Fault) -> String {
    let Fault::Refused(refusal) = fault else { return other(fault) };
    let text = match refusal.code.as_str() {
        "code_not_live" => "That code is no longer live. It changes every few seconds. Scan the screen again.".into(),
        "no_such_ceremony" => "There is nothing to approve. It has ended, or was never here. Scan again.".into(),
        "too_far" => "That screen seems far away. Nothing was opened. Your phone and the screen show no sign of being in one place. \
                      Put both on the same network, or use a passkey there. Did somebody send you the code? Stop. It is a trick."
            .into(),
        "same_device" => "This is the same device. Screen and phone must be two. Use a passkey there.".into(),
        "denied" => format!(
            "This can’t be approved. {}",
            refusal.say.as_deref().map_or_else(|| "Nothing was opened. Your help desk can tell you more.".into(), tidy)
        ),
        "confirm_first" | "not_yet" => "The digits come first. Enter them.".into(),
        "wrong_code" => wrong(refusal.left, "Look at the screen."),
        "expired" => "Time ran out. Nothing was opened. Scan again.".into(),
        "gone" => "This has ended.".into(),
        "decided" => "You already decided.".into(),
        "bad_proof" => "This phone could not prove itself. Nothing was opened. If trying again does not help, enrol it again.".into(),
        "already_redeemed" => "Ended for safety. A screen used one approval twice.".into(),
        _ => return any(fault),
    };
    with_reference(text, &refusal.reference)
}

/// A fault as a terminal says it: never why, never who.
pub fn on_screen(fault: &Fault) -> String {
    let Fault::Refused(refusal) = fault else { return other(fault) };
    let text = match refusal.code.as_str() {
        "no_such_ceremony" | "gone" | "bad_proof" => "This code was closed. Run it again.".into(),
        "denied" => "Not approved. Nothing was opened.".into(),
        "expired" => "Time ran out. Run it again.".into(),
        "wrong_code" => wrong(refusal.left, "Look at your phone again."),
        "already_redeemed" => "Signed out for safety. This sign-in was used twice.".into(),
        "no_such_flow" => "This link is not complete. Start in the application.".into(),
        _ => return any(fault),
    };
    with_reference(text, &refusal.reference)
}

fn wrong(left: Option<u8>, look: &str) -> String {
    match left {
        Some(n) if n > 0 => format!("Those digits do not match. {look} {} left.", if n == 1 { "1 try".into() } else { format!("{n} tries") }),
        _ => "Those digits do not match. Nothing was opened.".into(),
    }
}

fn any(fault: &Fault) -> String {
    let Fault::Refused(refusal) = fault else { return other(fault) };
    match refusal.code.as_str() {
        "too_many" => format!("Too many tries. Wait {}.", span(i64::try_from(refusal.retry_after_s.unwrap_or(60)).unwrap_or(60))),
        "clock" | "unavailable" => with_reference("Signing in is paused. Nothing was opened. It comes back by itself.".into(), &refusal.reference),
        _ => sentence(&fault.to_string()),
    }
}

fn other(fault: &Fault) -> String {
    match fault {
        Fault::Person(_) => "Not approved. Nothing was opened.".into(),
        _ => sentence(&fault.to_string()),
    }
}

fn sentence(text: &str) -> String {
    let text = tidy(text);
    let mut chars = text.chars();
    chars.next().map(|c| format!("{}{}.", c.to_uppercase(), chars.as_str())).unwrap_or_default()
}

fn with_reference(text: String, reference: &str) -> String {
    if reference.is_empty() { text } else { format!("{text} Reference: {}", tidy(reference)) }
}

/// Devices, sessions, notices, activity.
pub fn overview(of: &Overview) -> Vec<String> {
    let mut lines = vec![format!("{}'s devices", tidy(&of.me.name))];
    for device in &of.devices {
        let state = match (device.state.as_str(), device.limited_until) {
            ("active", Some(until)) => format!("limited until {}", clock(until)),
            ("active", None) => "ready".into(),
            ("pending", _) => "waiting for you".into(),
            (other, _) => tidy(other),
        };
        let this = if device.this { ", this device" } else { "" };
        lines.push(format!("  {}  {}: {state}{this}", device.id, tidy(&device.name)));
    }
    lines.push(if of.sessions.is_empty() { "Nothing is open".into() } else { "Signed in now".into() });
    for session in &of.sessions {
        let whose = match (&session.whose, &session.vouched_by) {
            (Some(other), _) => format!(" ({}, on your word)", tidy(other)),
            (None, Some(by)) => format!(" (on the word of {})", tidy(by)),
            (None, None) => String::new(),
        };
        lines.push(format!(
            "  {}  {} / {}{whose}. {} left, until {}",
            session.id,
            tidy(&session.screen),
            tidy(&session.client),
            span(session.left_s),
            clock(session.until)
        ));
    }
    if !of.notices.is_empty() {
        lines.push("You should know".into());
    }
    for notice in &of.notices {
        let device = notice.device.as_deref().map(tidy).unwrap_or_default();
        let text = match notice.kind.as_str() {
            "device_added" => format!("a device was added: {device}"),
            "device_rebound" => format!("a device got a new key: {device}"),
            "vouched" => "somebody vouched for you at a terminal, without your phone".into(),
            "not_me" => "someone asked for you from a screen that was not yours".into(),
            other => format!("{} {device}", tidy(other)),
        };
        let undo = if notice.undo { " Not you? Undo it now." } else { "" };
        lines.push(format!("  {}  {text}, {}.{undo}", notice.id, clock(notice.at)));
    }
    if !of.activity.is_empty() {
        lines.push("Lately".into());
    }
    lines.extend(of.activity.iter().take(10).map(|item| format!("  {}  {}", clock(item.at), activity(item))));
    lines
}

fn activity(item: &ActivityItem) -> String {
    let on = item.screen.as_deref().map(|screen| format!(" on {}", tidy(screen))).unwrap_or_default();
    match item.kind.as_str() {
        "ceremony.redeemed" => match item.purpose {
            Some(Purpose::Vouch) => "You vouched for somebody without a phone.".into(),
            Some(Purpose::Right) => "You gave somebody a right for a while.".into(),
            Some(Purpose::ToolCall) => "You allowed one call of a tool.".into(),
            Some(Purpose::Recover) => "You let somebody back in.".into(),
            Some(Purpose::EnrolDevice) => "You let a device join.".into(),
            Some(Purpose::SignIn | Purpose::StepUp) | None => format!("You signed in{on}."),
        },
        "ceremony.approved" => format!("You approved a sign-in{on}."),
        "ceremony.refused" => format!("A sign-in{on} was refused. Nothing was opened."),
        "ceremony.expired" => format!("Time ran out for a sign-in{on}. Nothing was opened."),
        "ceremony.abandoned" => format!("A sign-in{on} was given up. Nothing was opened."),
        "ceremony.revoked" => format!("What was opened{on} was closed again."),
        "person.not_me" => "You said that a sign-in was not you. That screen can’t ask you for a while.".into(),
        "passkey.used" => format!("You used a passkey{on}."),
        "session.ended" => format!("What was open{on} was closed."),
        "device.enrolled" => "A device was enrolled.".into(),
        "device.rebound" => "A device came back with a new key.".into(),
        "device.changed" => "One of your devices was changed.".into(),
        "invitation.made" => "You invited somebody.".into(),
        other => tidy(other),
    }
}

/// One event of a story.
fn happened(kind: &str) -> String {
    match kind {
        "ceremony.opened" => "A screen showed a code",
        "ceremony.scanned" => "Your phone scanned it",
        "ceremony.confirmed" => "The digits matched",
        "ceremony.approved" => "You approved",
        "ceremony.refused" => "It was refused",
        "ceremony.redeemed" => "The screen took the result, once",
        "ceremony.claimed" => "The result was used",
        "ceremony.expired" => "Time ran out",
        "ceremony.abandoned" => "The screen gave up",
        "ceremony.revoked" => "What was opened was closed",
        "step.refused" => "A step was refused",
        "person.not_me" => "You said that it was not you",
        "session.opened" => "The screen was signed in",
        "session.ended" => "The screen was signed out",
        "code.issued" => "The application was told",
        "tokens.issued" => "The application was let in",
        "refresh.replayed" => "A key of the application came twice, so what it had was closed",
        "code.replayed" => "The result came twice, so it was closed",
        other => return tidy(other),
    }
    .to_owned()
}

/// A story: its events, then its verdicts.
pub fn story(events: &[Value], verdicts: &[Value]) -> Vec<String> {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(tidy);
    let mut lines = vec!["What happened".to_owned()];
    for event in events {
        let ms = event.get("ms").and_then(Value::as_i64).unwrap_or_default();
        let code = text(event, "code").map(|code| format!(" ({code})")).unwrap_or_default();
        let kind = event.get("kind").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("  +{:>3}.{} s  {}{code}", ms / 1000, ms % 1000 / 100, happened(kind)));
    }
    lines.push("What protected it (RFC 10027)".to_owned());
    for verdict in verdicts {
        let n = verdict.get("n").and_then(Value::as_i64).unwrap_or_default();
        let how = match verdict.get("verdict").and_then(Value::as_str) {
            Some("met") => "met",
            Some("partial") => "in part",
            _ => "not",
        };
        lines.push(format!("  {n:>2}  {how:<7}  {}", text(verdict, "because").unwrap_or_default()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_put_as_a_question_with_its_rows() {
        let mut of = crate::phone::example_statement();
        let text = statement(&of, "Ana Petrović").join("\n");
        assert_eq!(
            text,
            "Sign in on an unknown screen?\n  \
               Screen  Firefox. On the same network as this phone.\n  \
               Opens   Harbour Books Till (till.example)\n          \
                       It learns: who you are.\n          \
                       It gets a key, and may act for you until it ends.\n  \
               For     30 minutes, until 08:30 UTC\n  \
               As      Ana Petrović\n\
             Refuse if you did not start this on a screen in front of you."
        );
        of.near.clear();
        assert!(statement(&of, "Ana").join("\n").contains("Nothing shows that it is near you."));
    }

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(tidy("a\x1b[2Jb\u{202e}c\n"), "a?[2Jb?c?");
    }

    #[test]
    fn spans_and_times_are_said_in_fitting_units() {
        assert_eq!(span(1), "1 second");
        assert_eq!(span(1800), "30 minutes");
        assert_eq!(span(8 * 3600), "8 hours");
        assert_eq!(clock(1_800_000_000), "08:00 UTC");
        assert_eq!(left(Duration::from_secs(100)), "About 2 minutes left");
        assert_eq!(left(Duration::from_secs(9)), "9 seconds left");
    }
}

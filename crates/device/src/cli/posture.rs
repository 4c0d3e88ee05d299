//! Commands about this machine's health.

use super::Found;
use super::args::{Agents, Options, Posture};
use countersign_device::console::say;
use countersign_device::posture::watch::{self, News};
use countersign_device::posture::Looking;
use countersign_device::posture::tpm::Tpm;
use countersign_device::{Fault, Phone};
use countersign_wire::message::PostureView;
use countersign_wire::posture::Why;
use serde_json::{Value, json};
use std::io::Write as _;

pub(super) async fn posture(options: &Options, wanted: &Posture) -> Result<Found, Fault> {
    match wanted {
        Posture::Show { agents } => {
            let facts = looking(agents, None).facts();
            let mut lines = vec!["This machine says:".to_owned()];
            lines.extend(facts.iter().map(|(name, s)| row(name.as_str(), &s.value, s.confidence.as_str(), &s.source)));
            // Not being enrolled, or no way to the server, is no reason to show nothing.
            let known = match options.phone() {
                Ok(phone) => Some(phone.posture().await),
                Err(_) => None,
            };
            let server = match &known {
                Some(Ok(view)) => {
                    lines.extend(kept(view));
                    json!(view.facts)
                }
                Some(Err(fault)) => {
                    lines.push(format!("What the server knows was not to be had: {fault}"));
                    Value::Null
                }
                None => Value::Null,
            };
            Ok(Found::new(lines, json!({ "facts": facts, "server": server })))
        }
        Posture::Send { agents } => {
            let phone = options.phone()?;
            let facts = looking(agents, None).facts();
            let nonce = phone.posture().await?.nonce;
            let taken = phone.report(&facts, Why::Asked, false, &nonce).await?;
            let line = if taken.changed { "Reported. The server knew otherwise before." } else { "Reported. Nothing is new." };
            Ok(Found::new(vec![line.into()], json!({ "changed": taken.changed })))
        }
    }
}

pub(super) async fn watch(options: &Options, agents: &Agents) -> Result<Found, Fault> {
    let phone: Phone = options.phone()?;
    let json = options.json;
    let tpm = Tpm::here(options.folder()?.path());
    watch::watch(&phone, &looking(agents, tpm), |news| tell(&news, json)).await?;
    Ok(Found::done("Stopped."))
}

fn looking(agents: &Agents, tpm: Option<Tpm>) -> Looking {
    Looking::here(agents.names.clone(), tpm)
}

/// One line for each thing that happens; for machines one object a line.
fn tell(news: &News, as_json: bool) {
    let (line, object) = match news {
        News::Taken { why, changed, every_s } => (
            match (why, changed) {
                (Why::Start, _) => format!("Reported. The next report is due within {every_s} s."),
                (_, true) => "Reported a change.".to_owned(),
                (_, false) => "Reported. Nothing is new.".to_owned(),
            },
            json!({ "news": "taken", "why": why, "changed": changed, "every_s": every_s }),
        ),
        News::Shown(None) => ("The TPM showed how this machine started.".to_owned(), json!({ "news": "shown" })),
        News::Shown(Some(because)) => {
            (format!("The TPM shows nothing: {because}"), json!({ "news": "not_shown", "because": because.json() }))
        }
        News::Waiting { pause, because } => (
            format!("Not reported: {because}. Trying again in {} s.", pause.as_secs()),
            json!({ "news": "waiting", "pause_s": pause.as_secs(), "because": because.json() }),
        ),
    };
    let mut err = std::io::stderr().lock();
    let _ = if as_json { writeln!(err, "{object}") } else { writeln!(err, "{line}") };
}

fn kept(view: &PostureView) -> Vec<String> {
    let mut lines = vec![String::new()];
    if view.facts.is_empty() {
        lines.push("The server knows nothing of it.".to_owned());
        return lines;
    }
    lines.push(format!("The server knows (after report {}):", view.n));
    lines.extend(view.facts.iter().map(|f| row(&f.name, &say::tidy(&f.value), &f.confidence, &say::tidy(&f.source))));
    lines.extend(view.signals.iter().map(|s| format!("  news: {}", say::tidy(s))));
    lines
}

fn row(name: &str, value: &str, confidence: &str, source: &str) -> String {
    let value = if value == "unknown" { value.to_owned() } else { format!("{value} ({confidence}, {source})") };
    format!("  {name:<15} {value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_wire::posture::Name;

    #[test]
    fn every_fact_that_is_a_devices_to_say_is_in_a_report() {
        let facts = looking(&Agents { names: Vec::new() }, None).facts();
        assert!(Name::ALL.iter().filter(|n| n.is_own()).all(|n| facts.contains_key(n)));
    }
}

//! What waits for a receiver: its stream's part of the log, beginning after what was taken, and the notes
//! beside it. Read anew each time; an event has the same name, time and words whenever it is told.

use super::ALG;
use crate::app::{App, Fault};
use crate::config::Receiver;
use crate::oidc::jwt;
use countersign_store::sql::StoredStream;
use countersign_trust::shared::caep::{self, EventType, Line};
use countersign_trust::shared::stream::{Note, Status, Stream, WINDOW};
use countersign_wire::set::{self, Telling};
use countersign_wire::subject::{Identifier, Subject};
use countersign_wire::{StreamId, Time, b64, mac};
use serde_json::{Map, Value};

/// Lines of the log that one look passes over at most.
const SPAN: i64 = 50_000;
/// Lines passed over that are worth writing down, so that they are not read again after a restart.
const PASSED: i64 = 5_000;

/// One event to be told.
pub struct Out {
    /// Its name.
    pub jti: String,
    event: String,
    subject: Subject,
    body: Map<String, Value>,
    at: Time,
    txn: String,
}

/// What waits.
pub struct Outbox {
    /// The log was read up to this number.
    pub scanned: i64,
    /// Names of what each line is told as, those that were taken included.
    pub lines: Vec<(i64, Vec<String>)>,
    /// What is to be told, in order: notes first.
    pub out: Vec<Out>,
    /// There is more behind it.
    pub more: bool,
}

impl Out {
    /// As a signed SET.
    pub fn signed(&self, app: &App, receiver: &Receiver) -> Result<String, Fault> {
        let telling = Telling {
            iss: &app.config.issuer,
            aud: &receiver.audience,
            jti: &self.jti,
            at: self.at,
            txn: &self.txn,
            subject: &self.subject,
            event: &self.event,
            body: &self.body,
        };
        jwt::sign_now(app, ALG, set::TYP, &telling.claims())
    }

    /// The type of its event, as the log may have it.
    pub fn kind(&self) -> &'static str {
        EventType::parse(&self.event).map_or("", EventType::name)
    }

    fn note(stream: &StreamId, note: &Note) -> Out {
        Out {
            jti: note.jti.clone(),
            event: note.event.clone(),
            subject: Subject::Simple(Identifier::Opaque(stream.to_string())),
            body: note.body.clone(),
            at: note.at,
            txn: note.txn.to_string(),
        }
    }
}

/// The name of what a line is told as: the same whenever it is told, and no other stream's.
fn name(stream: &StreamId, line: &str, n: usize) -> String {
    let digest = mac::labelled("countersign/set/1", format!("{stream}/{line}/{n}").as_bytes());
    b64::encode(digest.get(..18).unwrap_or_default())
}

/// Reads what waits for a stream, however many lines that are nothing to it stand before.
pub async fn read(app: &App, stored: &StoredStream, receiver: &Receiver) -> Result<Outbox, Fault> {
    let stream = &stored.stream;
    // A stream that does not flow carries nothing but the news that it does not.
    let flows = stream.status == Status::Enabled;
    let told = |n: &&Note| flows || n.event == EventType::StreamUpdated.uri();
    let notes = stream.notes.iter().filter(told).map(|n| Out::note(&stream.id, n)).collect();
    let mut outbox = Outbox { scanned: stream.done, lines: Vec::new(), out: notes, more: false };
    if !flows {
        return Ok(outbox);
    }
    let head = app.store.engine().last_seq().await?;
    while outbox.lines.is_empty() && outbox.scanned < head {
        look(app, stream, receiver, head, &mut outbox).await?;
    }
    outbox.more = outbox.scanned < head;
    if outbox.lines.is_empty() && outbox.scanned - stream.done >= PASSED {
        app.store.stream_passed(stream, outbox.scanned).await?;
    }
    Ok(outbox)
}

async fn look(app: &App, stream: &Stream, receiver: &Receiver, head: i64, outbox: &mut Outbox) -> Result<(), Fault> {
    let until = head.min(outbox.scanned + SPAN);
    let limit = i64::try_from(WINDOW).unwrap_or(i64::MAX);
    let found = app.store.tellable(outbox.scanned, until, limit).await?;
    let full = found.len() >= WINDOW;
    let carried = stream.delivered(&receiver.supported());
    let last = found.last().map_or(until, |n| n.seq);
    for numbered in found {
        let e = &numbered.event;
        let body: Value = serde_json::from_str(&e.body).unwrap_or_default();
        let none = Map::new();
        let facts = body.get("facts").and_then(Value::as_object).unwrap_or(&none);
        let line = Line {
            kind: &e.kind,
            at: Time(e.at),
            session: e.session.as_deref(),
            person: e.person.as_deref(),
            device: e.device.as_deref(),
            facts,
        };
        let all = caep::told(&line, &app.config.issuer).into_iter().enumerate();
        let wanted = all.filter(|(_, t)| carried.contains(&t.event) && stream.hears_of(&t.subject));
        let mut names = Vec::new();
        for (n, t) in wanted {
            let jti = name(&stream.id, &e.id, n);
            if !stream.taken.contains(&jti) {
                let event = t.event.uri().to_owned();
                outbox.out.push(Out { jti: jti.clone(), event, subject: t.subject, body: t.body, at: Time(e.at), txn: e.txn.clone() });
            }
            names.push(jti);
        }
        if !names.is_empty() {
            outbox.lines.push((numbered.seq, names));
        }
    }
    outbox.scanned = if full { last } else { until };
    Ok(())
}

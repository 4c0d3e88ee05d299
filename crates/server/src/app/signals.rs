//! News about a device, a person, a session or a registered terminal: the one way in, whoever brings it. A signal moves the row it
//! is about, so that whatever was being decided on the old one loses, and asks for everything that rests
//! on it to be judged again, in the same commit.

use super::{App, Fault, rights};
use countersign_store::sql::StoredDevice;
use countersign_store::{Commit, Write};
use countersign_trust::Refusal;
use countersign_trust::audit::{Event, Kind};
use countersign_trust::posture::{Fact, Posture};
use countersign_trust::principal::Person;
use countersign_trust::session::Session;
use countersign_trust::signal::{self, Signal, Subject};
use countersign_trust::terminal::{Terminal, TerminalFacts};
use countersign_wire::{DeviceId, Time, TxnId};

/// The row that a signal is about.
enum Row {
    Device(Box<StoredDevice>),
    Person(Person),
    Session(Box<Session>),
    Terminal(Box<Terminal>),
}

impl Row {
    async fn load(app: &App, subject: &Subject) -> Result<Row, Fault> {
        let none = || Fault::because(Refusal::NoSuchThing, "nothing of that name");
        Ok(match subject {
            Subject::Device(id) => Row::Device(Box::new(app.store.device(id).await?.ok_or_else(none)?)),
            Subject::Person(id) => Row::Person(app.store.person(id).await?.ok_or_else(none)?),
            Subject::Session(id) => {
                let session = app.store.session(id).await?.filter(|s| s.ended.is_none());
                Row::Session(Box::new(session.ok_or_else(none)?))
            }
            Subject::Terminal(id) => Row::Terminal(Box::new(app.store.terminal(id).await?.ok_or_else(none)?)),
        })
    }
    fn signals(&self) -> &[Signal] {
        match self {
            Row::Device(d) => &d.device.signals,
            Row::Person(p) => &p.signals,
            Row::Session(s) => &s.signals,
            Row::Terminal(t) => &t.facts.signals,
        }
    }
    fn write(&self, signals: &[Signal]) -> Write {
        match self {
            Row::Device(d) => Write::device_signals(&d.device, signals),
            Row::Person(p) => Write::person_signals(p, signals),
            Row::Session(s) => Write::session_signals(s, signals),
            Row::Terminal(t) => Write::terminal_changed(t, &TerminalFacts { signals: signals.to_vec(), ..t.facts.clone() }),
        }
    }
    /// Sessions whose rights rest on it, as they are once [`Row::write`] was written.
    async fn holders(&self, app: &App) -> Result<Vec<Session>, Fault> {
        Ok(match self {
            Row::Session(s) => vec![Session { version: s.version + 1, ..(**s).clone() }],
            Row::Terminal(t) => app.store.sessions_at(&t.id).await?,
            Row::Device(_) | Row::Person(_) => Vec::new(),
        })
    }
    fn event(&self, app: &App, kind: Kind, txn: &TxnId, now: Time) -> Event {
        let mut event = app.event(kind, txn, now);
        match self {
            Row::Device(d) => {
                event.device = Some(d.device.id.clone());
                event.person = Some(d.device.person.clone());
            }
            Row::Person(p) => event.person = Some(p.id.clone()),
            Row::Terminal(t) => event = event.fact("terminal", t.id.as_str()),
            Row::Session(s) => {
                event.session = Some(s.facts.id.clone());
                event.person = Some(s.facts.person.clone());
                event.device = Some(s.facts.device.clone());
                event.ceremony.clone_from(&s.facts.ceremony);
            }
        }
        event
    }
}

/// Raises a signal. Answers whether it was news.
pub async fn raise(app: &App, subject: &Subject, new: Signal, txn: &TxnId) -> Result<bool, Fault> {
    let says = new.kind.words();
    raise_saying(app, subject, new, says, txn).await
}

/// The same with the reason in plain words, for the log.
pub async fn raise_saying(app: &App, subject: &Subject, new: Signal, says: &str, txn: &TxnId) -> Result<bool, Fault> {
    if !subject.fits(new.kind) {
        return Err(Fault::because(Refusal::Malformed, "a signal about another kind of thing"));
    }
    let facts = [("signal", new.kind.as_str().into()), ("source", new.source.as_str().into()), ("says", says.into())];
    let until = new.until.map(|t| ("until", t.seconds().into()));
    let facts: Vec<(&str, serde_json::Value)> = facts.into_iter().chain(until).collect();
    change(app, subject, new.kind, Kind::SignalRaised, txn, &facts, |known, now| signal::raised(known, new.clone(), now)).await
}

/// Takes back what `source` said, or, without a source, what anybody said. Answers whether anything was.
pub async fn clear(app: &App, subject: &Subject, kind: signal::Kind, source: Option<&str>, txn: &TxnId) -> Result<bool, Fault> {
    let facts = [("signal", kind.as_str().into()), ("source", source.unwrap_or("any").into())];
    change(app, subject, kind, Kind::SignalCleared, txn, &facts, |known, _| signal::cleared(known, kind, source)).await
}

async fn change(
    app: &App,
    subject: &Subject,
    news: signal::Kind,
    kind: Kind,
    txn: &TxnId,
    facts: &[(&str, serde_json::Value)],
    next: impl Fn(&[Signal], Time) -> Option<Vec<Signal>>,
) -> Result<bool, Fault> {
    let next = &next;
    app.judged_anew(|_| async move {
        let now = app.now();
        let row = Row::load(app, subject).await?;
        let Some(signals) = next(row.signals(), now) else { return Ok(false) };
        let mut event = row.event(app, kind, txn, now);
        for (name, value) in facts {
            event = event.fact(name, value.clone());
        }
        let mut commit = Commit::new(event);
        commit.write(row.write(&signals)).write(Write::to_judge(Some(subject), txn, now));
        if kind == Kind::SignalRaised && news.takes_rights() {
            commit.also(rights::ending_where(app, &row.holders(app).await?, news.as_str(), txn, now));
        }
        app.commit(commit).await?;
        Ok(true)
    })
    .await
}

/// What `more` makes of a device's posture, kept if any decision could come out differently. Answers
/// whether it could. `more` sees the device anew after a lost race; a refusal of its own ends it.
pub async fn learn(
    app: &App,
    device: &DeviceId,
    txn: &TxnId,
    more: impl Fn(&Posture) -> Result<Option<Posture>, Fault>,
) -> Result<bool, Fault> {
    let more = &more;
    app.judged_anew(|_| async move {
        let now = app.now();
        let subject = Subject::Device(device.clone());
        let row = Row::load(app, &subject).await?;
        let Row::Device(stored) = &row else { return Ok(false) };
        let Some(posture) = more(&stored.device.posture)? else { return Ok(false) };
        let differs = |f: &&Fact| !stored.device.posture.facts.iter().any(|k| (k.name, &k.source, &k.value) == (f.name, &f.source, &f.value));
        let names: Vec<&str> = posture.facts.iter().filter(differs).map(|f| f.name.as_str()).collect();
        let mut commit = Commit::new(row.event(app, Kind::PostureChanged, txn, now).fact("facts", names));
        commit.write(Write::posture_learnt(&stored.device, &posture)).write(Write::to_judge(Some(&subject), txn, now));
        app.commit(commit).await?;
        Ok(true)
    })
    .await
}

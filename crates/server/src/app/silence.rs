//! Silence: whoever promised to speak and does not (docs/posture.md).
//!
//! 1. A device program, or a visible page of a session, that speaks with a promise is *heard*: in
//!    memory, written down twice a second. No version moves.
//! 2. Twice in a promised time span without a word is `silent`; the whole span is `gone`. Both are
//!    signals, and policy says what they do: by default what was opened rests, then ends. So what is
//!    left of access after the last word is [`Config::heartbeat_misses`] intervals and a second.
//! 3. Silence counts only while this node listened. After a start, a stall, a leap of the clock or a
//!    store that did not answer, everybody has one interval and [`GRACE_S`] to be heard again.
//!
//! Whoever promised nothing is never silent: a locked phone runs no pages.

use super::{App, Fault, signals};
use crate::config::Config;
use countersign_store::sql::{DeviceBeat, LastReport, StoredDevice};
use countersign_trust::device::DeviceState;
use countersign_trust::session::Session;
use countersign_trust::signal::{Kind, Signal, Subject};
use countersign_trust::limits;
use countersign_wire::{DeviceId, SessionId, Time};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who raises these signals.
pub const SOURCE: &str = "silence";
/// To be heard again after this node did not listen, beyond one interval, seconds.
pub const GRACE_S: i64 = 1;
/// How often what was heard is written down and silence is looked at.
pub const LOOK: Duration = Duration::from_millis(250);
/// Two looks further apart than this mean that this node did not listen in between, milliseconds.
const DEAF_MS: i64 = 5_000;
/// Reports of one device whose numbers are remembered: those that may be under way at once.
const REMEMBERED: usize = 32;

/// What this node heard.
#[derive(Default)]
pub struct Heard(Mutex<Ears>);

#[derive(Default)]
struct Ears {
    devices: HashMap<DeviceId, Voice>,
    /// Proofs of the last words of each page.
    pages: HashMap<SessionId, VecDeque<String>>,
    owed_devices: HashMap<DeviceId, DeviceBeat>,
    owed_sessions: HashMap<SessionId, Option<Time>>,
    /// Since when this node listens, and when it last looked.
    listening: Option<(Time, Time)>,
}

/// The newest reports of one device.
struct Voice {
    last: LastReport,
    recent: VecDeque<LastReport>,
    seen_at: Time,
}

/// What the number of a report says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// It is above all before.
    New,
    /// This very report was taken, or a later one overtook it.
    Old,
    /// Another report had that number: there are two devices with one key.
    Doubled,
}

impl Heard {
    fn ears(&self) -> MutexGuard<'_, Ears> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges the number of a report and, if it is new, takes it. `written` is what the store knows.
    pub fn number(&self, device: &DeviceId, report: &LastReport, written: &LastReport, now: Time) -> Numbered {
        let mut ears = self.ears();
        if ears.devices.len() >= limits::CALLERS_MIN && !ears.devices.contains_key(device) {
            // The store knows those that are forgotten here.
            ears.devices.retain(|_, v| now.ms_since(v.seen_at) < 60_000);
        }
        let voice = ears.devices.entry(device.clone()).or_insert_with(|| Voice {
            last: LastReport::default(),
            recent: VecDeque::new(),
            seen_at: now,
        });
        if written.n > voice.last.n {
            voice.last = written.clone();
        }
        let same = |known: &LastReport| known.n == report.n;
        let known = voice.recent.iter().find(|k| same(k)).or(Some(&voice.last).filter(|k| same(k)));
        match known {
            Some(known) if known.tag == report.tag => Numbered::Old,
            Some(_) => Numbered::Doubled,
            None if report.n < voice.last.n => Numbered::Old,
            None => {
                voice.last = report.clone();
                voice.recent.push_back(report.clone());
                if voice.recent.len() > REMEMBERED {
                    voice.recent.pop_front();
                }
                Numbered::New
            }
        }
    }

    /// A device spoke, and promised to go on within `promise`, if it did.
    pub fn device(&self, device: &DeviceId, report: &LastReport, silence_at: Option<Time>, now: Time) {
        let mut ears = self.ears();
        if let Some(voice) = ears.devices.get_mut(device) {
            voice.seen_at = voice.seen_at.max(now);
        }
        let beat = DeviceBeat { device: device.clone(), seen_at: now, last: report.clone(), silence_at };
        ears.owed_devices.insert(device.clone(), beat);
    }

    /// The page of a session spoke, or said that it goes (`None`). Whether it did not before with
    /// this very proof: nobody who heard one speaks for a page that is gone.
    pub fn page(&self, session: &SessionId, jti: &str, silence_at: Option<Time>) -> bool {
        let mut ears = self.ears();
        if ears.pages.len() >= limits::CALLERS_MIN {
            ears.pages.clear();
        }
        let used = ears.pages.entry(session.clone()).or_default();
        if used.iter().any(|u| u == jti) {
            return false;
        }
        used.push_back(jti.to_owned());
        if used.len() > REMEMBERED {
            used.pop_front();
        }
        ears.owed_sessions.insert(session.clone(), silence_at);
        true
    }

    /// Number of the newest report of a device that this node heard of.
    pub fn newest(&self, device: &DeviceId) -> i64 {
        self.ears().devices.get(device).map_or(0, |v| v.last.n)
    }

    /// Since when this node listens without a gap, as of a look at `now`.
    fn listening(&self, now: Time) -> Time {
        let mut ears = self.ears();
        let since = match ears.listening {
            Some((since, last)) if (0..=DEAF_MS).contains(&now.ms_since(last)) => since,
            _ => now,
        };
        ears.listening = Some((since, now));
        since
    }

    /// It did not: what was said meanwhile may be lost.
    fn deaf(&self) {
        self.ears().listening = None;
    }

    fn owed(&self) -> (Vec<DeviceBeat>, Vec<(SessionId, Option<Time>)>) {
        let mut ears = self.ears();
        let devices = std::mem::take(&mut ears.owed_devices).into_values().collect();
        (devices, std::mem::take(&mut ears.owed_sessions).into_iter().collect())
    }

    /// What could not be written is written later, unless there is something newer.
    fn owe(&self, devices: Vec<DeviceBeat>, sessions: Vec<(SessionId, Option<Time>)>) {
        let mut ears = self.ears();
        for beat in devices {
            ears.owed_devices.entry(beat.device.clone()).or_insert(beat);
        }
        for (id, at) in sessions {
            ears.owed_sessions.entry(id).or_insert(at);
        }
    }
}

/// The two moments of a silence after a last word, for a promise of one word in `every_s`.
#[derive(Clone, Copy)]
pub struct Span {
    every_s: i64,
    misses: i64,
}

impl Span {
    /// Of device programs.
    pub fn of_device(config: &Config) -> Span {
        Span { every_s: config.heartbeat_s, misses: config.heartbeat_misses }
    }
    /// Of pages.
    pub fn of_page(config: &Config) -> Span {
        Span { every_s: config.page_heartbeat_s, misses: config.heartbeat_misses }
    }
    /// Silent from then on: two thirds of the span, so that one lost word is never enough.
    pub fn silent(self, last: Time) -> Time {
        last.plus_ms(self.every_s * self.misses * 1_000 * 2 / 3)
    }
    /// Gone from then on.
    pub fn gone(self, last: Time) -> Time {
        last.plus_s(self.every_s * self.misses)
    }
    /// From when on silence counts for a node that listens `since`.
    fn counts(self, since: Time) -> Time {
        since.plus_s(self.every_s + GRACE_S)
    }
}

/// Writes down what was heard, then looks at who is silent.
pub async fn look(app: &App) -> Result<(), Fault> {
    let looked = flush_and_judge(app).await;
    if looked.is_err() {
        app.heard.deaf();
    }
    looked
}

/// Writes down what was heard: by the clock, and before this node stops.
pub async fn flush(app: &App) -> Result<(), Fault> {
    let (devices, sessions) = app.heard.owed();
    let mut written = Ok(());
    if !devices.is_empty() {
        written = app.store.devices_spoke(&devices).await;
    }
    if written.is_ok() && !sessions.is_empty() {
        written = app.store.sessions_spoke(&sessions).await;
    }
    if let Err(fault) = written {
        app.heard.owe(devices, sessions);
        return Err(fault.into());
    }
    Ok(())
}

async fn flush_and_judge(app: &App) -> Result<(), Fault> {
    flush(app).await?;
    app.in_order()?;
    let now = app.now();
    let since = app.heard.listening(now);
    if now >= Span::of_device(&app.config).counts(since) {
        for device in app.store.devices_silent(now, limits::LIST).await? {
            device_silent(app, &device, now).await?;
        }
    }
    if now >= Span::of_page(&app.config).counts(since) {
        for session in app.store.sessions_silent(now, limits::LIST).await? {
            page_silent(app, &session, now).await?;
        }
    }
    Ok(())
}

async fn device_silent(app: &App, stored: &StoredDevice, now: Time) -> Result<(), Fault> {
    let device = &stored.device;
    let ended = matches!(device.state, DeviceState::Lost | DeviceState::Revoked | DeviceState::Retired);
    let (seen, span) = (device.seen_at, Span::of_device(&app.config));
    let gone = span.gone(seen.unwrap_or(device.added_at));
    let next = match (ended, now >= gone) {
        (true, _) => None,
        (false, true) => {
            raise(app, Subject::Device(device.id.clone()), Kind::DeviceGone, now).await?;
            None
        }
        (false, false) => {
            raise(app, Subject::Device(device.id.clone()), Kind::DeviceSilent, now).await?;
            Some(gone)
        }
    };
    app.store.device_silence_at(&device.id, seen, next).await?;
    Ok(())
}

async fn page_silent(app: &App, session: &Session, now: Time) -> Result<(), Fault> {
    let id = &session.facts.id;
    let Some(due) = app.store.session_silence_at(id).await?.filter(|due| *due <= now) else { return Ok(()) };
    let lowered = session.signals.iter().any(|s| s.kind == Kind::SessionSilent && s.is_live(now));
    let next = if lowered {
        raise(app, Subject::Session(id.clone()), Kind::SessionGone, now).await?;
        None
    } else {
        raise(app, Subject::Session(id.clone()), Kind::SessionSilent, now).await?;
        // The rest of the span: the last word came two thirds of it before.
        let span = Span::of_page(&app.config);
        Some(Time(due.0 - span.silent(Time(0)).0 + span.gone(Time(0)).0))
    };
    app.store.session_silence_moves(id, due, next).await?;
    Ok(())
}

async fn raise(app: &App, subject: Subject, kind: Kind, now: Time) -> Result<(), Fault> {
    let signal = Signal { kind, source: SOURCE.to_owned(), at: now, until: None };
    match signals::raise(app, &subject, signal, &app.txn(now)).await {
        // It ended meanwhile.
        Err(Fault { refusal: countersign_trust::Refusal::NoSuchThing, .. }) => Ok(()),
        done => done.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000_000_000);

    fn report(n: i64, tag: &str) -> LastReport {
        LastReport { n, tag: tag.to_owned() }
    }

    #[test]
    fn a_number_serves_one_report_and_none_below_it() {
        let (heard, id, none) = (Heard::default(), DeviceId::new(NOW, [1; 10]), LastReport::default());
        let judge = |n: i64, tag: &str| heard.number(&id, &report(n, tag), &none, NOW);
        assert_eq!(judge(5, "a"), Numbered::New);
        assert_eq!(judge(5, "a"), Numbered::Old, "a replay");
        assert_eq!(judge(4, "b"), Numbered::Old, "overtaken on the way, or an old one");
        assert_eq!(judge(5, "b"), Numbered::Doubled);
        assert_eq!(judge(6, "c"), Numbered::New);
        assert_eq!(judge(5, "d"), Numbered::Doubled, "still remembered");
        // What another node or an earlier life of this one wrote.
        let written = report(9, "z");
        assert_eq!(heard.number(&id, &report(9, "z"), &written, NOW), Numbered::Old);
        assert_eq!(heard.number(&id, &report(9, "y"), &written, NOW), Numbered::Doubled);
        assert_eq!(heard.number(&id, &report(8, "x"), &written, NOW), Numbered::Old);
        assert_eq!(heard.number(&id, &report(10, "w"), &written, NOW), Numbered::New);
    }

    #[test]
    fn silence_counts_only_while_somebody_listened() {
        let heard = Heard::default();
        assert_eq!(heard.listening(NOW), NOW);
        assert_eq!(heard.listening(NOW.plus_s(1)), NOW);
        assert_eq!(heard.listening(NOW.plus_s(5)), NOW);
        assert_eq!(heard.listening(NOW.plus_s(11)), NOW.plus_s(11), "a stall or a leap");
        assert_eq!(heard.listening(NOW.plus_s(10)), NOW.plus_s(10), "a clock that was set back");
        heard.deaf();
        assert_eq!(heard.listening(NOW.plus_s(12)), NOW.plus_s(12));
    }

    #[test]
    fn one_lost_word_is_never_enough() {
        for (every_s, misses) in [(1, 2), (30, 3), (60, 10)] {
            let span = Span { every_s, misses };
            assert!(span.silent(NOW) > NOW.plus_s(every_s), "{every_s} {misses}");
            assert!(span.silent(NOW) < span.gone(NOW));
            assert_eq!(span.gone(NOW), NOW.plus_s(every_s * misses));
        }
    }

    #[test]
    fn what_could_not_be_written_is_not_lost_and_not_newer_than_the_new() {
        let (heard, id) = (Heard::default(), DeviceId::new(NOW, [1; 10]));
        heard.device(&id, &report(1, "a"), None, NOW);
        let (devices, sessions) = heard.owed();
        heard.device(&id, &report(2, "b"), None, NOW.plus_s(1));
        heard.owe(devices, sessions);
        assert_eq!(heard.owed().0[0].last.n, 2);
        assert!(heard.owed().0.is_empty());
    }
}

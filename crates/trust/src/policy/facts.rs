//! What policies see, and how it is written down so that another set can be asked the same later.

use crate::ceremony::collect::Collector;
use crate::client::{Client, Far};
use crate::device::Device;
use crate::posture::{Answer, Confidence, Name};
use crate::presence::Presence;
use crate::principal::Person;
use crate::session::Session;
use crate::signal::{self, Signal};
use crate::terminal::{Stands, Terminal};
use cedar_policy::{Context, RestrictedExpression};
use countersign_wire::Time;
use countersign_wire::statement::Purpose;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A word of ours, or one that was written down.
type Word = Cow<'static, str>;

/// What policies see. What is missing in a text is as in [`Facts::default`]: an active device with all its
/// rights at a near screen, nothing known of its health, nothing said against it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Pseudonym of the person.
    pub person: String,
    /// Client id, or `countersign` for our own.
    pub client: String,
    /// What for.
    pub purpose: Purpose,
    /// `frame` `pair` `user_code` `push` `passkey`.
    pub channel: Word,
    /// Presence class.
    pub presence: Presence,
    /// The screen, as far as it is registered.
    #[serde(skip_serializing_if = "Screen::is_unknown")]
    pub terminal: Screen,
    /// Whether the client opted for far screens.
    #[serde(skip_serializing_if = "is_false")]
    pub far_allowed: bool,
    /// Whether its tokens may be unbound.
    #[serde(skip_serializing_if = "is_false")]
    pub bearer_allowed: bool,
    /// How the result is collected: `browser`, `device_code` or `ciba`.
    #[serde(skip_serializing_if = "is_browser")]
    pub grant: Word,
    /// By whom: `browser`, `client_key` or `client_only`.
    #[serde(skip_serializing_if = "is_browser")]
    pub collector: Word,
    /// Life of the device.
    pub device_state: Word,
    /// Whether its rights are reduced.
    #[serde(skip_serializing_if = "is_false")]
    pub device_limited: bool,
    /// Whether others hold it as well.
    #[serde(skip_serializing_if = "is_false")]
    pub device_shared: bool,
    /// How its key is kept.
    pub device_key: Word,
    /// Role of the person.
    pub role: Word,
    /// Whether somebody else vouches for the person, who showed nothing of their own.
    #[serde(skip_serializing_if = "is_false")]
    pub vouched: bool,
    /// Types of the authorization details that are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// What is known of the device's health.
    #[serde(skip_serializing_if = "Health::is_unknown")]
    pub posture: Health,
    /// Hour of the day, UTC, 0 to 23.
    #[serde(skip_serializing_if = "is_noon")]
    pub hour: i64,
    /// Live news about device, person, session and terminal.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub signals: BTreeSet<Word>,
    /// Since when a session must have been approved to go on without asking.
    #[serde(skip)]
    pub reconfirm: Option<Time>,
}

fn is_browser(word: &Word) -> bool {
    word == BROWSER
}

fn is_false(b: &bool) -> bool {
    !b
}
fn is_noon(hour: &i64) -> bool {
    *hour == 12
}

impl Default for Facts {
    fn default() -> Facts {
        Facts {
            person: "person".to_owned(),
            client: OWN.to_owned(),
            purpose: Purpose::SignIn,
            channel: "frame".into(),
            presence: Presence::Weak,
            terminal: Screen::default(),
            far_allowed: false,
            bearer_allowed: false,
            grant: BROWSER.into(),
            collector: BROWSER.into(),
            device_state: "active".into(),
            device_limited: false,
            device_shared: false,
            device_key: "software".into(),
            role: "member".into(),
            vouched: false,
            details: Vec::new(),
            posture: Health::default(),
            hour: 12,
            signals: BTreeSet::new(),
            reconfirm: None,
        }
    }
}

impl Facts {
    /// Facts of one person, device and client.
    pub fn of(
        person: &Person,
        device: &Device,
        client: Option<&Client>,
        purpose: Purpose,
        channel: &'static str,
        presence: Presence,
        now: Time,
    ) -> Facts {
        Facts {
            person: person.id.to_string(),
            client: client.map_or_else(|| OWN.to_owned(), |c| c.id.to_string()),
            purpose,
            channel: channel.into(),
            presence,
            terminal: Screen::default(),
            far_allowed: client.is_some_and(|c| c.far == Far::Unproven),
            bearer_allowed: client.is_some_and(|c| c.danger_allow_bearer),
            grant: BROWSER.into(),
            collector: BROWSER.into(),
            device_state: device.state.as_str().into(),
            device_limited: device.is_limited(now),
            device_shared: device.is_shared(),
            device_key: device.key.as_str().into(),
            role: person.role.as_str().into(),
            vouched: purpose == Purpose::Vouch,
            details: Vec::new(),
            posture: Health::of(device, now),
            hour: now.seconds().rem_euclid(86_400) / 3_600,
            signals: live(&device.signals, now).chain(live(&person.signals, now)).collect(),
            reconfirm: signal::reconfirm(device.signals.iter().chain(&person.signals), now),
        }
    }
    /// The same where a client collects.
    pub fn collected(self, by: Option<Collector>) -> Facts {
        match by {
            None => self,
            Some(by) => Facts { grant: by.grant.as_str().into(), collector: by.as_str().into(), ..self },
        }
    }
    /// The same, in a running session.
    pub fn in_session(mut self, session: Option<&Session>, now: Time) -> Facts {
        let Some(session) = session else { return self };
        self = self.collected(session.facts.collector);
        self.signals.extend(live(&session.signals, now));
        // What is over once its person approved anew says nothing about a session approved since.
        if self.reconfirm.is_some_and(|since| session.facts.auth_time < since) {
            self.signals.insert(RECONFIRM.into());
        }
        self
    }
    /// The same, where somebody vouched: what is said of them counts as well.
    pub fn vouched_by(mut self, voucher: Option<&Person>, now: Time) -> Facts {
        self.vouched |= voucher.is_some();
        let news = voucher.map(|p| p.signals.as_slice()).unwrap_or_default();
        self.signals.extend(live(news, now));
        self.reconfirm = self.reconfirm.max(signal::reconfirm(news.iter(), now));
        self
    }
    /// The same, on this terminal.
    pub fn at(mut self, terminal: Option<(&Terminal, Stands)>, now: Time) -> Facts {
        self.signals.extend(terminal.into_iter().flat_map(|(t, _)| live(&t.facts.signals, now)));
        Facts { terminal: Screen::of(terminal), ..self }
    }
    /// What is known when a screen asks to begin.
    pub fn opening(client: Option<&Client>, purpose: Purpose, details: Vec<String>, terminal: Option<(&Terminal, Stands)>, now: Time) -> Facts {
        Facts {
            person: NOBODY.to_owned(),
            client: client.map_or_else(|| OWN.to_owned(), |c| c.id.to_string()),
            purpose,
            channel: "none".into(),
            presence: Presence::Unproven,
            far_allowed: client.is_some_and(|c| c.far == Far::Unproven),
            bearer_allowed: client.is_some_and(|c| c.danger_allow_bearer),
            vouched: purpose == Purpose::Vouch,
            details,
            ..Facts::default()
        }
        .at(terminal, now)
    }
    /// The same, for a request with details of these types.
    pub fn with_details(self, types: Vec<String>) -> Facts {
        Facts { details: types, ..self }
    }

    /// As Cedar takes it.
    pub(super) fn context(&self, scope: &str) -> Option<Context> {
        Context::from_pairs(self.pairs(scope)?).ok()
    }

    /// The same as a record in something larger.
    pub(super) fn record(&self) -> Option<RestrictedExpression> {
        RestrictedExpression::new_record(self.pairs("")?).ok()
    }

    fn pairs(&self, scope: &str) -> Option<[(String, RestrictedExpression); 19]> {
        Some([
            ("purpose".to_owned(), text(self.purpose.as_str())),
            ("channel".to_owned(), text(&self.channel)),
            ("presence".to_owned(), text(self.presence.as_str())),
            ("terminal".to_owned(), self.terminal.record()?),
            ("far_allowed".to_owned(), RestrictedExpression::new_bool(self.far_allowed)),
            ("bearer_allowed".to_owned(), RestrictedExpression::new_bool(self.bearer_allowed)),
            ("grant".to_owned(), text(&self.grant)),
            ("collector".to_owned(), text(&self.collector)),
            ("device_state".to_owned(), text(&self.device_state)),
            ("device_limited".to_owned(), RestrictedExpression::new_bool(self.device_limited)),
            ("device_shared".to_owned(), RestrictedExpression::new_bool(self.device_shared)),
            ("device_key".to_owned(), text(&self.device_key)),
            ("role".to_owned(), text(&self.role)),
            ("vouched".to_owned(), RestrictedExpression::new_bool(self.vouched)),
            ("scope".to_owned(), text(scope)),
            ("hour".to_owned(), RestrictedExpression::new_long(self.hour)),
            ("details".to_owned(), RestrictedExpression::new_set(self.details.iter().map(|d| text(d)))),
            ("signals".to_owned(), RestrictedExpression::new_set(self.signals.iter().map(|s| text(s)))),
            ("posture".to_owned(), self.posture.record()?),
        ])
    }
}

fn text(t: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(t.to_owned())
}

/// In [`Facts::signals`] of a session that was approved before something that asks for a new approval.
pub const RECONFIRM: &str = "session.reconfirm";

/// In [`Facts::grant`] and [`Facts::collector`] of whatever goes to a screen.
pub const BROWSER: &str = "browser";
/// Name of the person before anybody is known.
pub const NOBODY: &str = "nobody";

/// A screen as policies see it. Unless it is registered, nothing is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Screen {
    /// Whether a registered key opened.
    #[serde(skip_serializing_if = "is_false")]
    pub registered: bool,
    /// Whether a TPM keeps that key.
    #[serde(skip_serializing_if = "is_false")]
    pub attested: bool,
    /// Class, empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
    /// Where it stands, empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Whether it speaks from a network of its site.
    #[serde(skip_serializing_if = "is_false")]
    pub site_ok: bool,
    /// Whether it has a site and speaks from elsewhere.
    #[serde(skip_serializing_if = "is_false")]
    pub moved: bool,
}

impl Screen {
    fn of(terminal: Option<(&Terminal, Stands)>) -> Screen {
        let Some((t, stands)) = terminal else { return Screen::default() };
        Screen {
            registered: t.is_active(),
            attested: t.is_active() && t.facts.attested,
            class: t.facts.class.clone(),
            place: t.facts.place.clone(),
            site_ok: stands == Stands::AtSite,
            moved: stands == Stands::Away,
        }
    }
    fn is_unknown(&self) -> bool {
        *self == Screen::default()
    }
    fn record(&self) -> Option<RestrictedExpression> {
        let is = |name: &str, b: bool| (name.to_owned(), RestrictedExpression::new_bool(b));
        RestrictedExpression::new_record([
            is("registered", self.registered),
            is("attested", self.attested),
            is("site_ok", self.site_ok),
            is("moved", self.moved),
            ("class".to_owned(), text(&self.class)),
            ("place".to_owned(), text(&self.place)),
        ])
        .ok()
    }
}

/// Name under which Countersign itself asks, for ceremonies without a client.
pub const OWN: &str = "countersign";

/// Posture as policies see it: words and an age. Unknown is a word of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Operating system, empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Version of the device program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// How well the best fact was shown, empty where there is none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub confidence: Word,
    /// Seconds since the device last spoke for itself; [`NEVER_S`] where it never did.
    pub age_s: i64,
    /// The answers, in the order of [`QUESTIONS`].
    #[serde(flatten)]
    pub answers: Answers,
}

/// Facts that are answered by yes, no or unknown.
pub const QUESTIONS: [Name; 8] = [
    Name::Managed,
    Name::Compliant,
    Name::DiskEncrypted,
    Name::ScreenLock,
    Name::SecureBoot,
    Name::Tpm,
    Name::Rooted,
    Name::AgentRunning,
];
/// Age of a posture that nobody ever reported, seconds: older than any rule would allow.
pub const NEVER_S: i64 = 1 << 40;

/// Answers by the place of their question. Written down, only those are named that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Answers([Answer; 8]);

impl Answers {
    /// With one answer given.
    pub fn with(mut self, name: Name, answer: Answer) -> Answers {
        let places = QUESTIONS.iter().zip(&mut self.0);
        places.filter(|(question, _)| **question == name).for_each(|(_, place)| *place = answer);
        self
    }
}

impl From<Answers> for BTreeMap<String, String> {
    fn from(answers: Answers) -> Self {
        let known = QUESTIONS.iter().zip(answers.0).filter(|(_, a)| *a != Answer::Unknown);
        known.map(|(n, a)| (n.as_str().to_owned(), a.as_str().to_owned())).collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Answers {
    type Error = String;
    fn try_from(named: BTreeMap<String, String>) -> Result<Answers, String> {
        let mut answers = Answers::default();
        for (name, value) in named {
            let unknown = || format!("`{name}: {value}` is no answer to a question about posture");
            let question = Name::parse(&name).filter(|n| QUESTIONS.contains(n)).ok_or_else(unknown)?;
            let answer = [Answer::Yes, Answer::No, Answer::Unknown].into_iter().find(|a| a.as_str() == value);
            answers = answers.with(question, answer.ok_or_else(unknown)?);
        }
        Ok(answers)
    }
}

impl Default for Health {
    fn default() -> Health {
        Health {
            os: String::new(),
            os_version: String::new(),
            program: String::new(),
            confidence: "".into(),
            age_s: NEVER_S,
            answers: Answers::default(),
        }
    }
}

impl Health {
    /// Of a device at `now`.
    pub fn of(device: &Device, now: Time) -> Health {
        let p = &device.posture;
        let age_s = device.seen_at.map_or(NEVER_S, |at| (now.seconds() - at.seconds()).max(0));
        if p.facts.is_empty() {
            return Health { age_s, ..Health::default() };
        }
        Health {
            os: p.text(Name::Os).to_owned(),
            os_version: p.text(Name::OsVersion).to_owned(),
            program: p.text(Name::Program).to_owned(),
            confidence: p.facts.iter().map(|f| f.confidence).max().map_or("", Confidence::as_str).into(),
            age_s,
            answers: Answers(QUESTIONS.map(|n| p.answer(n))),
        }
    }
    fn is_unknown(&self) -> bool {
        *self == Health::default()
    }
    pub(super) fn record(&self) -> Option<RestrictedExpression> {
        let answers = QUESTIONS.iter().zip(&self.answers.0).map(|(n, a)| (n.as_str().to_owned(), text(a.as_str())));
        let rest = [
            ("os".to_owned(), text(&self.os)),
            ("os_version".to_owned(), text(&self.os_version)),
            ("program".to_owned(), text(&self.program)),
            ("confidence".to_owned(), text(&self.confidence)),
            ("age_s".to_owned(), RestrictedExpression::new_long(self.age_s)),
        ];
        RestrictedExpression::new_record(answers.chain(rest)).ok()
    }
}

fn live(signals: &[Signal], now: Time) -> impl Iterator<Item = Word> {
    signals.iter().filter(move |s| s.is_live(now)).map(|s| s.kind.as_str().into())
}

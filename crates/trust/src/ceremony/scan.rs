//! Step 2: a device scans, or takes what was offered to its person.

use super::{Ceremony, End, Record, Scan, State, Step};
use crate::audit::Kind;
use crate::Refusal;
use crate::policy::{Allowed, Ruling};
use crate::presence::{self, Presence};
use countersign_wire::code::Direction;
use countersign_wire::statement::{Channel, Demanded, Near, Purpose, Screen, Statement};
use countersign_wire::{DeviceId, PersonId, Thumbprint, Time, b64, limits};

/// Who scans, and how.
#[derive(Clone, Debug)]
pub struct ScanBy {
    /// The device.
    pub device: DeviceId,
    /// Thumbprint of its key.
    pub dk: Thumbprint,
    /// Its person.
    pub person: PersonId,
    /// How it met the ceremony.
    pub channel: Channel,
    /// Evidence of nearness.
    pub near: Vec<Near>,
    /// Whether a page of ours scans, by the word of the program.
    pub page: bool,
    /// This server.
    pub issuer: String,
    /// 256 random bits for the statement.
    pub nonce: [u8; 32],
    /// Life of a scanned ceremony by policy, seconds.
    pub decide_s: i64,
}

/// What the opening and policy say about the screen and what is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking {
    /// What for.
    pub purpose: Purpose,
    /// Whether people can type on the registered terminal; `None` on an unknown screen.
    pub keyboard: Option<bool>,
    /// Whether nothing privileged and no detail would be opened.
    pub ordinary: bool,
}

/// Digits to be asked: on an unknown terminal always some; on a registered one with the device beside it that
/// opens nothing out of the ordinary, none (docs/protocol.md §4).
pub fn demanded(channel: Channel, near: &[Near], asking: Asking) -> Demanded {
    let unproven = Presence::of(near) == Presence::Unproven;
    let live = matches!(channel, Channel::Frame | Channel::Pair | Channel::Badge);
    let (directions, digits) = match (channel, asking.purpose) {
        // There is no screen: the agent is known by its key, and asks whom its registration names.
        (_, Purpose::ToolCall) => (Vec::new(), 0),
        (Channel::Push, _) => (vec![Direction::TypedOnDevice], 6),
        (_, Purpose::EnrolDevice | Purpose::Recover) => (vec![Direction::TypedOnTerminal], 4),
        _ if asking.keyboard.is_some() && live && presence::beside(near) && asking.ordinary => (Vec::new(), 4),
        _ if asking.keyboard == Some(true) => (vec![Direction::TypedOnTerminal], 4),
        _ if asking.keyboard == Some(false) => (vec![Direction::TypedOnDevice], 4),
        _ if unproven => (vec![Direction::TypedOnTerminal, Direction::TypedOnDevice], 4),
        _ => (vec![Direction::TypedOnTerminal], 4),
    };
    Demanded { directions, digits }
}

impl Ceremony {
    /// A scan whose frames, code or offer were found good, and what policy says to it.
    pub fn scan(&self, by: &ScanBy, ruling: &Ruling, now: Time) -> Step {
        if let Some(step) = self.clock_fault(now) {
            return step;
        }
        let by_scanner = self.scan_facts().is_some_and(|s| s.device == by.device);
        match &self.state {
            _ if self.is_late(now) && self.is_pending() => {
                self.timed_out(now).answering(Refusal::CodeNotLive)
            }
            State::Opened(_) if by.channel == Channel::Push && self.opening.offered.as_ref() != Some(&by.person) => {
                Step::refused(Refusal::NoSuchCeremony)
            }
            // What was opened by a badge is that badge's, and nobody scans it.
            State::Opened(_) if self.opening.badge.as_ref() != (by.channel == Channel::Badge).then_some(&by.device) => {
                Step::refused(Refusal::CodeNotLive)
            }
            State::Opened(opened) => match ruling {
                Ruling::Deny(deny) => {
                    let denied = opened.denied.saturating_add(1);
                    let step = if denied >= crate::limits::DENIED_SCANS {
                        self.ended(End::Abandoned, "denied_scans", now)
                    } else {
                        let mut next = opened.clone();
                        next.denied = denied;
                        let record = Record::of(Kind::StepRefused)
                            .fact("policies", deny.policies.clone())
                            .judged(&deny.judged)
                            .fact("step", "scan");
                        Step::to(State::Opened(next), Some(opened.until), record)
                    };
                    step.answering(deny.refusal)
                }
                Ruling::Allow(allowed) => self.scanned(by, allowed, opened.until, now),
            },
            State::Scanned(_) | State::Confirmed(_) | State::Approved(_) if by_scanner => Step::same(),
            _ => Step::refused(Refusal::CodeNotLive),
        }
    }

    fn scanned(&self, by: &ScanBy, allowed: &Allowed, before: Time, now: Time) -> Step {
        let presence = Presence::of(&by.near);
        let demanded = match &self.opening.collects {
            Some(collects) => collects.demanded(by.channel),
            None => demanded(by.channel, &by.near, Asking {
                purpose: self.opening.purpose,
                keyboard: self.opening.terminal.as_ref().map(|t| t.keyboard),
                ordinary: !allowed.privileged && self.opening.asked.details.is_empty(),
            }),
        };
        let life = by.decide_s.clamp(1, limits::SCANNED_MAX_S);
        let until = now.plus_s(life).min(self.ceiling());
        let o = &self.opening;
        let statement = Statement {
            v: 1,
            iss: by.issuer.clone(),
            cid: o.id.clone(),
            txn: o.txn.clone(),
            purpose: o.purpose,
            client: o.asker.clone(),
            boundary: o.boundary,
            request: o.asked.clone(),
            terminal: Screen {
                jkt: o.jkt.clone(),
                kind: o.terminal_kind.clone(),
                agent: o.agent.clone(),
                opened_at: o.at.seconds(),
                plate: o.terminal.as_ref().map(|t| t.plate.clone()),
            },
            start: false,
            device: by.device.clone(),
            dk: by.dk.clone(),
            sub: by.person.clone(),
            channel: by.channel,
            near: by.near.clone(),
            confirm: demanded.clone(),
            rights: allowed.rights.clone(),
            n: b64::encode(&by.nonce),
            iat: now.seconds(),
            exp: until.seconds(),
            tpl: "1".to_owned(),
            locale: "en".to_owned(),
        };
        // Its parts were checked when they came in; what still does not fit is refused here.
        let Ok(bytes) = statement.encode() else { return Step::refused(Refusal::Malformed) };
        let scan = Scan {
            device: by.device.clone(),
            dk: by.dk.clone(),
            person: by.person.clone(),
            statement: b64::encode(&bytes),
            channel: by.channel,
            near: by.near.clone(),
            page: by.page,
            demanded,
            done: Vec::new(),
            tries: limits::TRIES,
            rights: allowed.rights.clone(),
            at: now,
            until,
        };
        let record = Record::of(Kind::CeremonyScanned)
            .fact("channel", serde_json::to_value(by.channel).unwrap_or_default())
            .fact("presence", presence.as_str())
            .fact("digits_asked", scan.demanded.directions.len())
            .fact("age_ms", now.ms_since(o.at))
            .fact("page", by.page)
            .fact("policies", allowed.policies.clone())
            .fact("cut", allowed.cut.clone())
            .judged(&allowed.judged);
        let next = if scan.demanded.directions.is_empty() {
            State::Confirmed(scan)
        } else {
            State::Scanned(scan)
        };
        Step::to(next, Some(before), record)
    }
}

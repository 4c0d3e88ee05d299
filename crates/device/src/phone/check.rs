//! What the phone makes sure of before it shows a statement or signs one.
//!
//! A browser page can be made to show one thing and sign another; this program cannot, since the
//! only thing that [`super::Phone::approve`] takes is what came out of here, and it carries the
//! bytes that were shown.

use crate::Fault;
use countersign_wire::limits::CEREMONY_MAX_S;
use countersign_wire::message::{AssertionAsk, DeviceView};
use countersign_wire::statement::{self, Statement};
use countersign_wire::{DeviceId, PersonId, Thumbprint, b64};
use std::time::{Duration, Instant};

/// A statement whose every claim about this phone is true.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the server sent with it.
    pub view: DeviceView,
    /// What the person must read.
    pub statement: Statement,
    /// Digest of the bytes received.
    pub sd: [u8; 32],
    deadline: Instant,
    rp_id: String,
}

/// What this phone knows about itself.
pub struct Mine<'a> {
    /// The server it is enrolled with.
    pub issuer: &'a str,
    /// Its own id.
    pub device: &'a DeviceId,
    /// Thumbprint of its own key.
    pub dk: &'a Thumbprint,
    /// Its person, once known.
    pub sub: Option<&'a PersonId>,
    /// Relying party of its passkey.
    pub rp_id: &'a str,
}

/// Checks `view`, which arrived at `now`. No wall clock is asked: the time left is the server's,
/// counted down by this machine's monotonic clock.
pub fn check(view: DeviceView, mine: &Mine<'_>, now: Instant) -> Result<Checked, Fault> {
    let bytes = view
        .statement
        .as_deref()
        .ok_or(Fault::Unsigned("the server sent no statement"))
        .and_then(|text| b64::decode(text).map_err(|_| Fault::Unsigned("the statement is damaged")))?;
    let statement = Statement::parse(&bytes).map_err(|_| Fault::Unsigned("the statement is damaged"))?;
    let sd = statement::digest(&bytes);
    let life_s = statement.exp.saturating_sub(statement.iat);
    for (holds, what) in [
        (statement.v == 1, "the statement is of a format this program does not know"),
        (statement.iss == mine.issuer, "the statement is of another server"),
        (statement.cid.as_str() == view.cid, "the statement is of another request than the one scanned"),
        (statement.device == *mine.device, "the statement names another device"),
        (statement.dk == *mine.dk, "the statement names another device's key"),
        (mine.sub.is_none_or(|sub| *sub == statement.sub), "the statement is for another person"),
        ((1..=CEREMONY_MAX_S).contains(&life_s), "the statement lasts longer than any may"),
        (is_asked(&view, &sd, mine.rp_id), "the passkey would sign something else than the statement shown"),
    ] {
        if !holds {
            return Err(Fault::Unsigned(what));
        }
    }
    let left_ms = view.left_ms.clamp(0, life_s.saturating_mul(1000)).unsigned_abs();
    let deadline = now + Duration::from_millis(left_ms);
    Ok(Checked { view, statement, sd, deadline, rp_id: mine.rp_id.to_owned() })
}

fn is_asked(view: &DeviceView, sd: &[u8; 32], rp_id: &str) -> bool {
    view.assertion.as_ref().is_none_or(|ask| {
        ask.challenge == b64::encode(&statement::challenge(sd)) && ask.rp_id == rp_id
    })
}

impl Checked {
    /// Time left to decide.
    pub fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// What the passkey will sign: derived here, not taken from the server.
    pub fn ask(&self) -> AssertionAsk {
        AssertionAsk {
            challenge: b64::encode(&statement::challenge(&self.sd)),
            rp_id: self.rp_id.clone(),
            allow: self.view.assertion.as_ref().map(|ask| ask.allow.clone()).unwrap_or_default(),
            user_verification: "required".into(),
            hints: vec![],
            timeout_ms: 60_000,
        }
    }

    /// Whether digits must be typed on this phone first.
    pub fn asks_digits_here(&self) -> bool {
        self.view.state == "scanned" && matches!(self.view.ask.as_deref(), Some("type" | "both"))
    }

    /// The digits that the person must type on the screen, if any.
    pub fn digits(&self) -> Option<&str> {
        self.view.digits.as_deref()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use countersign_wire::code::Direction;
    use countersign_wire::statement::*;
    use countersign_wire::{CeremonyId, Time, TxnId};

    const NOW: Time = Time(1_800_000_000_000_000);

    pub fn statement() -> Statement {
        let client: countersign_wire::ClientId = "till".parse().unwrap();
        Statement {
            v: 1,
            iss: "https://id.example".into(),
            cid: CeremonyId::new(NOW, [1; 10]),
            txn: TxnId::new(NOW, [2; 10]),
            purpose: Purpose::SignIn,
            client: Asker { id: client.clone(), name: "Harbour Books Till".into(), redirect_host: "till.example".into() },
            boundary: Boundary::Tokens,
            request: Asked { hash: "h".into(), scopes: vec!["openid".into()], details: vec![], message: None },
            terminal: Screen { jkt: Thumbprint::from_digest(&[3; 32]), kind: "browser".into(), agent: "Firefox".into(), opened_at: 1_799_999_990, plate: None },
            start: false,
            device: DeviceId::new(NOW, [4; 10]),
            dk: Thumbprint::from_digest(&[5; 32]),
            sub: PersonId::new(NOW, [6; 10]),
            channel: Channel::Frame,
            near: vec![Near::SameNetwork],
            confirm: Demanded { directions: vec![Direction::TypedOnTerminal], digits: 4 },
            rights: Rights { scopes: vec!["openid".into()], session_s: 1800, clients: vec![client], timed: Vec::new() },
            n: "n".into(),
            iat: 1_800_000_000,
            exp: 1_800_000_120,
            tpl: "sign-in/1".into(),
            locale: "en".into(),
        }
    }

    pub fn view_of(statement: &Statement) -> DeviceView {
        let bytes = statement.encode().unwrap();
        DeviceView {
            cid: statement.cid.to_string(),
            state: "scanned".into(),
            statement: Some(b64::encode(&bytes)),
            left_ms: 120_000,
            ask: Some("show".into()),
            n: Some(4),
            digits: Some("4711".into()),
            assertion: Some(AssertionAsk {
                challenge: b64::encode(&statement::challenge(&statement::digest(&bytes))),
                rp_id: "id.example".into(),
                allow: vec![],
                user_verification: "required".into(),
                hints: vec![],
                timeout_ms: 1,
            }),
            me: None,
        }
    }

    fn why(change: impl FnOnce(&mut Statement), spoil: impl FnOnce(&mut DeviceView)) -> Result<Checked, Fault> {
        let own = statement();
        let mut sent = statement();
        change(&mut sent);
        let mut view = view_of(&sent);
        spoil(&mut view);
        let mine = Mine { issuer: &own.iss, device: &own.device, dk: &own.dk, sub: Some(&own.sub), rp_id: "id.example" };
        check(view, &mine, crate::machine::tick())
    }

    #[test]
    fn a_statement_about_this_phone_passes_and_its_challenge_is_derived_here() {
        let checked = why(|_| (), |_| ()).unwrap();
        assert_eq!(checked.ask().challenge, checked.view.assertion.as_ref().unwrap().challenge);
        let bare = why(|_| (), |v| v.assertion = None).unwrap();
        assert_eq!(bare.ask().challenge, checked.ask().challenge);
    }

    #[test]
    fn a_statement_that_is_not_about_this_phone_is_never_signed() {
        type Change = fn(&mut Statement);
        let changes: [(&str, Change); 7] = [
            ("format", |s| s.v = 2),
            ("server", |s| s.iss = "https://evil.example".into()),
            ("device", |s| s.device = DeviceId::new(NOW, [9; 10])),
            ("key", |s| s.dk = Thumbprint::from_digest(&[9; 32])),
            ("person", |s| s.sub = PersonId::new(NOW, [9; 10])),
            ("life", |s| s.exp = s.iat + 601),
            ("no life", |s| s.exp = s.iat),
        ];
        for (name, change) in changes {
            assert!(matches!(why(change, |_| ()), Err(Fault::Unsigned(_))), "{name}");
        }
    }

    #[test]
    fn what_comes_with_it_must_belong_to_it() {
        type Spoil = fn(&mut DeviceView);
        let spoils: [(&str, Spoil); 6] = [
            ("other ceremony", |v| v.cid = CeremonyId::new(NOW, [9; 10]).to_string()),
            ("other challenge", |v| v.assertion.as_mut().unwrap().challenge = b64::encode(&[0; 32])),
            ("other party", |v| v.assertion.as_mut().unwrap().rp_id = "evil.example".into()),
            ("no statement", |v| v.statement = None),
            ("not base64url", |v| v.statement = Some("*".into())),
            ("not canonical", |v| v.statement = Some(b64::encode(b"{\"v\": 1}"))),
        ];
        for (name, spoil) in spoils {
            assert!(matches!(why(|_| (), spoil), Err(Fault::Unsigned(_))), "{name}");
        }
    }
}

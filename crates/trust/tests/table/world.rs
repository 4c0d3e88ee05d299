//! Ceremonies in every place of the table, and every command that can meet them.

use std::sync::LazyLock;
use countersign_trust::ceremony::decide::Proven;
use countersign_trust::ceremony::redeem::Passed;
use countersign_trust::ceremony::scan::ScanBy;
use countersign_trust::ceremony::{Ceremony, Opening, Step};
use countersign_trust::policy::{Allowed, Denied, Facts, MayBegin, PolicySet, Ruling};
use countersign_trust::Refusal;
use countersign_trust::verdict::Setting;
use countersign_wire::code::Direction;
use countersign_wire::statement::{Asked, Asker, Boundary, Channel, Near, Purpose, Rights};
use countersign_wire::webauthn::AssertionText;
use countersign_wire::{
    CeremonyId, ClientId, CredentialId, DeviceId, PersonId, SessionId, Thumbprint, Time, TxnId,
};

/// When every ceremony of these tests opens.
pub const T0: Time = Time::from_seconds(1_800_000_000);

/// How a ceremony comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A QR code and a typed code.
    Screen,
    /// Offered to the person of [`scanner`].
    Push,
}

/// A place of the table: a state, with what makes its cells differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Opened,
    Pushed,
    /// Policy refused four scans.
    Denied4,
    /// Digits are to be typed on the terminal.
    Scanned,
    /// Digits are to be typed on both.
    ScannedBoth,
    /// Typed on the device, not yet on the terminal.
    Half,
    /// Two wrong tries.
    LastTry,
    Confirmed,
    Approved,
    /// Redeemed, nothing used yet.
    Redeemed,
    /// Redeemed and used.
    Claimed,
    Refused,
    /// Expired after a scan.
    Expired,
    /// Expired before a scan.
    Unseen,
    Abandoned,
    Revoked,
    /// Revoked because a second redemption came.
    Replayed,
}

impl Place {
    pub const ALL: [(Place, &'static str); 17] = [
        (Place::Opened, "opened"),
        (Place::Pushed, "pushed"),
        (Place::Denied4, "denied-4"),
        (Place::Scanned, "scanned"),
        (Place::ScannedBoth, "scanned-both"),
        (Place::Half, "half"),
        (Place::LastTry, "last-try"),
        (Place::Confirmed, "confirmed"),
        (Place::Approved, "approved"),
        (Place::Redeemed, "redeemed"),
        (Place::Claimed, "claimed"),
        (Place::Refused, "refused"),
        (Place::Expired, "expired"),
        (Place::Unseen, "unseen"),
        (Place::Abandoned, "abandoned"),
        (Place::Revoked, "revoked"),
        (Place::Replayed, "replayed"),
    ];

    /// A ceremony in this place, brought there by the commands that lead to it.
    pub fn make(self) -> Ceremony {
        use Command as C;
        let path: Vec<Command> = match self {
            Place::Opened | Place::Pushed => vec![],
            Place::Denied4 => vec![C::ScanRefused; 4],
            Place::Scanned => vec![C::ScanAgain],
            Place::ScannedBoth => vec![C::ScanFar],
            Place::Half => vec![C::ScanFar, C::ConfirmDevice],
            Place::LastTry => vec![C::ScanAgain, C::ConfirmWrong, C::ConfirmWrong],
            Place::Confirmed => vec![C::ScanAgain, C::ConfirmTerminal],
            Place::Approved => vec![C::ScanAgain, C::ConfirmTerminal, C::ApproveAgain],
            Place::Redeemed | Place::Claimed | Place::Revoked | Place::Replayed => {
                let mut path =
                    vec![C::ScanAgain, C::ConfirmTerminal, C::ApproveAgain, C::RedeemAgain];
                match self {
                    Place::Claimed => path.push(C::Claim),
                    Place::Revoked => path.push(C::Cut),
                    Place::Replayed => path.push(C::Redeem),
                    _ => {}
                }
                path
            }
            Place::Refused => vec![C::ScanAgain, C::Refuse],
            Place::Expired => vec![C::ScanAgain, C::LateSweep],
            Place::Unseen => vec![C::LateSweep],
            Place::Abandoned => vec![C::ScanAgain, C::Abandon],
        };
        let kind = match self {
            Place::Pushed => Kind::Push,
            _ => Kind::Screen,
        };
        let mut ceremony = open(kind);
        let mut now = T0;
        for command in path {
            now = now.plus_s(3);
            let step = command.run(&ceremony, now);
            ceremony.state = step.next.unwrap_or_else(|| panic!("{self:?}: {command:?} did nothing"));
            ceremony.version += 1;
        }
        ceremony
    }
}

/// A command with what makes its answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    ScanNew,
    ScanRefused,
    ScanAgain,
    Take,
    TakeOther,
    ConfirmTerminal,
    ConfirmWrong,
    ConfirmDevice,
    Approve,
    ApproveAgain,
    ApproveBad,
    ApproveDenied,
    ApproveOther,
    Refuse,
    NotMe,
    RefuseOffered,
    RefuseStranger,
    Redeem,
    RedeemDenied,
    RedeemAgain,
    RedeemLater,
    Claim,
    Abandon,
    Cut,
    Sweep,
    /// Not in the table: a scan from afar, to reach places that ask for both directions.
    ScanFar,
    /// Not in the table: a sweep an hour later.
    LateSweep,
}

impl Command {
    pub const ALL: [(Command, &'static str); 25] = [
        (Command::ScanNew, "scan by a new device, policy allows"),
        (Command::ScanRefused, "scan by a new device, policy refuses"),
        (Command::ScanAgain, "scan again by the scanner"),
        (Command::Take, "take by the offered person"),
        (Command::TakeOther, "take by somebody else"),
        (Command::ConfirmTerminal, "confirm on the terminal, right digits"),
        (Command::ConfirmWrong, "confirm on the terminal, wrong digits"),
        (Command::ConfirmDevice, "confirm on the device, right digits"),
        (Command::Approve, "approve, good proof"),
        (Command::ApproveAgain, "approve again, same jti"),
        (Command::ApproveBad, "approve, bad proof"),
        (Command::ApproveDenied, "approve, policy refuses"),
        (Command::ApproveOther, "approve by another device"),
        (Command::Refuse, "refuse by the scanner"),
        (Command::NotMe, "not_me by the scanner"),
        (Command::RefuseOffered, "refuse by the offered person"),
        (Command::RefuseStranger, "refuse by a stranger"),
        (Command::Redeem, "redeem, policy allows"),
        (Command::RedeemDenied, "redeem, policy refuses"),
        (Command::RedeemAgain, "redeem again, winning jti, within 10 s"),
        (Command::RedeemLater, "redeem again, winning jti, after 10 s"),
        (Command::Claim, "claim"),
        (Command::Abandon, "abandon"),
        (Command::Cut, "cut"),
        (Command::Sweep, "sweep"),
    ];

    /// Gives the command.
    pub fn run(self, c: &Ceremony, now: Time) -> Step {
        let frame = Channel::Frame;
        let near = vec![Near::SameNetwork];
        match self {
            Command::ScanNew => c.scan(&by(2, 2, frame, near), &allow(), now),
            Command::ScanRefused => c.scan(&by(2, 2, frame, near), &deny(), now),
            Command::ScanAgain => c.scan(&by(1, 1, frame, near), &allow(), now),
            Command::ScanFar => c.scan(&by(1, 1, frame, vec![]), &allow(), now),
            Command::Take => c.scan(&by(3, 1, Channel::Push, near), &allow(), now),
            Command::TakeOther => c.scan(&by(2, 2, Channel::Push, near), &allow(), now),
            Command::ConfirmTerminal => c.confirm(Direction::TypedOnTerminal, true, now),
            Command::ConfirmWrong => c.confirm(Direction::TypedOnTerminal, false, now),
            Command::ConfirmDevice => c.confirm(Direction::TypedOnDevice, true, now),
            Command::Approve => c.approve(&device(1), "decision-2", Some(proven()), &allow(), now),
            Command::ApproveAgain => {
                c.approve(&device(1), "decision-1", Some(proven()), &allow(), now)
            }
            Command::ApproveBad => c.approve(&device(1), "decision-2", None, &allow(), now),
            Command::ApproveDenied => {
                c.approve(&device(1), "decision-2", Some(proven()), &deny(), now)
            }
            Command::ApproveOther => {
                c.approve(&device(2), "decision-1", Some(proven()), &allow(), now)
            }
            Command::Refuse => c.refuse(&device(1), &person(9), false, now),
            Command::NotMe => c.refuse(&device(1), &person(9), true, now),
            Command::RefuseOffered => c.refuse(&device(4), &person(1), false, now),
            Command::RefuseStranger => c.refuse(&device(4), &person(9), false, now),
            Command::Redeem => c.redeem("proof-2", Some(session(2)), Ok(passed(&allowed(), &SETTING)), now),
            Command::RedeemDenied => c.redeem("proof-2", Some(session(2)), Err(&denied()), now),
            Command::RedeemAgain | Command::RedeemLater => {
                c.redeem("proof-1", Some(session(1)), Ok(passed(&allowed(), &SETTING)), now)
            }
            Command::Claim => c.claim(now),
            Command::Abandon => c.abandon("page_closed", now),
            Command::Cut => c.cut("signal", now),
            Command::Sweep => c.sweep(now),
            Command::LateSweep => c.sweep(now.plus_s(3600)),
        }
    }
}

/// A fresh ceremony.
pub fn open(kind: Kind) -> Ceremony {
    Ceremony::open(Opening {
        id: CeremonyId::new(T0, [1; 10]),
        txn: TxnId::new(T0, [2; 10]),
        purpose: Purpose::SignIn,
        flow: None,
        asker: Asker { id: client(), name: "Till".into(), redirect_host: "till.example".into() },
        boundary: Boundary::Tokens,
        asked: Asked { hash: "x".into(), scopes: vec!["openid".into()], details: vec![], message: None },
        acr_values: vec![],
        jkt: Thumbprint::from_digest(&[3; 32]),
        collector_hash: "y".into(),
        terminal_kind: "browser".into(),
        collects: None,
        agent: "Chromium".into(),
        source: "192.0.2.1".into(),
        address: "192.0.2.1".into(),
        k: 1,
        offered: (kind == Kind::Push).then(|| person(1)),
        push: kind == Kind::Push,
        person: None,
        recovers: None,
            vouches: None,
        raises: None,
        terminal: None,
        badge: None,
        at: T0,
    }, *MAY)
}

/// What rules that let everything begin say.
static MAY: LazyLock<MayBegin> = LazyLock::new(|| {
    let open = PolicySet::compile("permit (principal is Person, action == Action::\"open\", resource);").unwrap();
    open.opens(&Facts::default()).unwrap()
});

/// Device `n`; number 1 is the scanner of every scanned place.
pub fn device(n: u8) -> DeviceId {
    DeviceId::new(T0, [n; 10])
}
/// Person `n`; number 1 owns devices 1 and 3.
pub fn person(n: u8) -> PersonId {
    PersonId::new(T0, [n; 10])
}
fn session(n: u8) -> SessionId {
    SessionId::new(T0, [n; 10])
}
fn client() -> ClientId {
    "till".parse().unwrap()
}

fn by(device_n: u8, person_n: u8, channel: Channel, near: Vec<Near>) -> ScanBy {
    ScanBy {
        device: device(device_n),
        dk: Thumbprint::from_digest(&[device_n; 32]),
        person: person(person_n),
        channel,
        near,
        page: true,
        issuer: "https://id.example".into(),
        nonce: [7; 32],
        decide_s: countersign_wire::limits::SCANNED_S,
    }
}

const SETTING: Setting =
    Setting { declared_filter: false, access_s: 300, bound_tokens: true, told: true, cut: false, listed: true };

fn passed<'a>(allowed: &'a Allowed, setting: &'a Setting) -> Passed<'a> {
    Passed { allowed, setting, near: &[] }
}

fn allowed() -> Allowed {
    let rights = Rights { scopes: vec!["openid".into()], session_s: 3600, clients: vec![client()], timed: Vec::new() };
    Allowed { rights, policies: vec!["sign-in".into()], cut: vec![], privileged: false, judged: Default::default() }
}

fn denied() -> Denied {
    Denied { refusal: Refusal::TooFar, policies: vec!["too-far".into()], say: None, effect: None, judged: Default::default() }
}

fn allow() -> Ruling {
    Ruling::Allow(allowed())
}

fn deny() -> Ruling {
    Ruling::Deny(denied())
}

fn proven() -> Proven {
    Proven {
        recovering: false,
        shared: false,
        jws: "a.b.c".into(),
        assertion: AssertionText {
            credential_id: "c".into(),
            authenticator_data: "a".into(),
            client_data_json: "d".into(),
            signature: "s".into(),
            user_handle: None,
        },
        credential: "c".parse::<CredentialId>().unwrap(),
        attested: false,
    }
}

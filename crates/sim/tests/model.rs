//! A model of what may happen at the same moment, walked through every interleaving (stateright): one device,
//! one ceremony, one session, its tokens, and whoever may act on them at two nodes.
//!
//! An act is a load and a commit, as in the server ("One way to act", ARCHITECTURE.md): what was loaded may be old by
//! the time of the commit, and then the guards must say so. What is modelled, and by which name it stands in the server:
//!
//! | here | there |
//! |---|---|
//! | `Approve` | `app::ceremony::decide`, guarded by `issue::resting_on` |
//! | `Redeem` | `app::ceremony::redeem::sign_in`, guarded by `issue::Vetoes::guards` |
//! | `Refresh` | `oidc::token::refresh` (and `oidc::token::code`), by the session and `Vetoes::guard` |
//! | `Revoke`, `Sweep` | `app::devices::move_to` with `fell`, then `sessions::end_every` |
//! | `Raise`, `Clear` | `app::signals::change`: it moves the device's row |
//! | `Judge` | `app::judge::judge_together`, guarded by `Known::guards` |
//! | `World::decides` | `authzen::live` with `issue::gate_in_session`: it reads, and keeps nothing |
//! | `World::token_until` | whoever checks signatures alone, until the token runs out (`limits::ACCESS_S`) |
//!
//! Each guard can be left out ([`Without`]): then the model must find the way through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use stateright::{Checker, Model, Property};

/// Ticks that a token lives, and ticks that the model lasts.
const TOKEN: u8 = 1;
const END: u8 = 3;

/// What is left out of the server, to see that the model can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    DeviceGuardOfApprove,
    DeviceGuardOfRedeem,
    DeviceGuardOfRefresh,
    SessionGuardOfRefresh,
    DeviceGuardOfJudge,
    DeviceAtTheGate,
    Sweep,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Act {
    Approve,
    Redeem,
    Refresh,
    Revoke,
    Judge,
}
const ACTS: [Act; 5] = [Act::Approve, Act::Redeem, Act::Refresh, Act::Revoke, Act::Judge];

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Step {
    Scan,
    Load(Act),
    Commit(Act),
    Raise,
    Clear,
    Sweep,
    SignOut,
    Tick,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Ceremony {
    Opened,
    Scanned,
    Approved,
    Redeemed,
    Cut,
}

/// What an act read: rows with their versions, and what the gate said of them.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct Loaded {
    device: u8,
    good: bool,
    ceremony: Ceremony,
    session: Option<u8>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
struct World {
    now: u8,
    device: u8,
    revoked: bool,
    signals: u8,
    signal: bool,
    /// Since when the device is not good.
    bad_since: Option<u8>,
    ceremony: Ceremony,
    /// Version of the session's row, and whether it lives.
    session: Option<(u8, bool)>,
    ended_at: Option<u8>,
    token_until: Option<u8>,
    swept: bool,
    loaded: [Option<Loaded>; 5],
    approved_by_bad: bool,
    judged_wrongly: bool,
}

impl World {
    fn good(&self) -> bool {
        !self.revoked && !self.signal
    }
    fn live(&self) -> Option<u8> {
        self.session.filter(|(_, live)| *live).map(|(version, _)| version)
    }
    fn end_session(&mut self) {
        if let Some(version) = self.live() {
            (self.session, self.ended_at) = (Some((version + 1, false)), Some(self.now));
        }
    }
    /// Moves the device's row.
    fn moved(&mut self) {
        self.device += 1;
        self.bad_since = if self.good() { None } else { self.bad_since.or(Some(self.now)) };
    }
    /// What the decision point says of the session at this moment.
    fn decides(&self, without: Without) -> bool {
        self.live().is_some() && (self.good() || without == Without::DeviceAtTheGate)
    }
}

struct Server(Without);

impl Model for Server {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            now: 0,
            device: 1,
            revoked: false,
            signals: 0,
            signal: false,
            bad_since: None,
            ceremony: Ceremony::Opened,
            session: None,
            ended_at: None,
            token_until: None,
            swept: false,
            loaded: [None; 5],
            approved_by_bad: false,
            judged_wrongly: false,
        }]
    }

    fn actions(&self, w: &World, steps: &mut Vec<Step>) {
        for act in ACTS {
            let sense = match act {
                Act::Approve => w.ceremony == Ceremony::Scanned,
                Act::Redeem => w.ceremony == Ceremony::Approved,
                Act::Refresh | Act::Judge => w.live().is_some(),
                Act::Revoke => !w.revoked,
            };
            match w.loaded[act as usize] {
                None if sense => steps.push(Step::Load(act)),
                None => {}
                Some(_) => steps.push(Step::Commit(act)),
            }
        }
        let all = [
            (Step::Scan, w.ceremony == Ceremony::Opened && w.good()),
            (Step::Raise, !w.signal && w.signals == 0),
            (Step::Clear, w.signal),
            (Step::Sweep, w.revoked && !w.swept && self.0 != Without::Sweep),
            (Step::SignOut, w.live().is_some()),
            (Step::Tick, w.now < END),
        ];
        steps.extend(all.into_iter().filter(|(_, sense)| *sense).map(|(step, _)| step));
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut w = *last;
        match step {
            Step::Scan => w.ceremony = Ceremony::Scanned,
            Step::Load(act) => {
                w.loaded[act as usize] = Some(Loaded { device: w.device, good: w.good(), ceremony: w.ceremony, session: w.live() });
            }
            Step::Commit(act) => {
                let was = w.loaded[act as usize].take()?;
                // A guard that failed: nothing is written, and it is judged anew by loading again.
                if self.holds(act, &w, &was) {
                    write(act, &mut w, &was);
                }
            }
            Step::Raise => {
                (w.signal, w.signals) = (true, 1);
                w.moved();
            }
            Step::Clear => {
                w.signal = false;
                w.moved();
            }
            Step::Sweep => {
                w.end_session();
                w.swept = true;
            }
            Step::SignOut => w.end_session(),
            Step::Tick => w.now += 1,
        }
        Some(w)
    }

    fn properties(&self) -> Vec<Property<Server>> {
        vec![
            Property::always(DECISION, |server: &Server, w: &World| w.good() || !w.decides(server.0)),
            Property::always(TOKEN_BOUND, |_, w: &World| w.bad_since.is_none_or(|since| w.token_until.is_none_or(|until| until <= since + TOKEN))),
            Property::always(SESSION_BOUND, |_, w: &World| w.ended_at.is_none_or(|ended| w.token_until.is_none_or(|until| until <= ended + TOKEN))),
            Property::always(APPROVAL, |_, w: &World| !w.approved_by_bad),
            // With no act of revoking under way: what the sweep did not see was not there.
            Property::always(NOTHING_LEFT, |server: &Server, w: &World| {
                let over = w.swept || (server.0 == Without::Sweep && w.revoked);
                !over || w.live().is_none()
            }),
            Property::always(JUDGED, |_, w: &World| !w.judged_wrongly),
            Property::sometimes("somebody is let in", |server: &Server, w: &World| w.decides(server.0)),
            Property::sometimes("a token is renewed later", |_, w: &World| w.token_until.is_some_and(|until| until > TOKEN)),
            Property::sometimes("a session ends by being judged", |_, w: &World| w.signal && w.ended_at.is_some()),
        ]
    }
}

const DECISION: &str = "no decision passes for a device that fell";
const TOKEN_BOUND: &str = "no token outlives its device's fall by more than a token's life";
const SESSION_BOUND: &str = "no token outlives its session by more than a token's life";
const APPROVAL: &str = "nothing is approved by a device that fell";
const NOTHING_LEFT: &str = "nothing lives of a device that was revoked";
const JUDGED: &str = "no session ends for a reason that is over";

impl Server {
    /// The guards of a commit: versions that must still be what was loaded.
    fn holds(&self, act: Act, w: &World, was: &Loaded) -> bool {
        let left_out = |guard| self.0 == guard;
        let device = w.device == was.device;
        let ceremony = w.ceremony == was.ceremony;
        let session = w.live() == was.session;
        match act {
            Act::Approve => ceremony && (device || left_out(Without::DeviceGuardOfApprove)),
            Act::Redeem => ceremony && (device || left_out(Without::DeviceGuardOfRedeem)),
            Act::Refresh => {
                (session || left_out(Without::SessionGuardOfRefresh)) && (device || left_out(Without::DeviceGuardOfRefresh))
            }
            // The device's own row; the ceremonies that it scanned and the sessions that it opened, as far as it saw them.
            Act::Revoke => device && (ceremony || was.ceremony == Ceremony::Opened) && (was.session.is_none() || session),
            Act::Judge => session && (device || left_out(Without::DeviceGuardOfJudge)),
        }
    }
}

/// What a commit writes, if what it loaded was good.
fn write(act: Act, w: &mut World, was: &Loaded) {
    match act {
        Act::Approve if was.good => {
            w.ceremony = Ceremony::Approved;
            w.approved_by_bad |= !w.good();
        }
        Act::Redeem if was.good => (w.ceremony, w.session) = (Ceremony::Redeemed, Some((1, true))),
        Act::Refresh if was.good => w.token_until = Some(w.now + TOKEN),
        Act::Judge if !was.good => {
            w.judged_wrongly |= w.good();
            w.end_session();
        }
        Act::Revoke => {
            w.revoked = true;
            w.moved();
            if was.session.is_some() {
                w.end_session();
            }
            if matches!(was.ceremony, Ceremony::Scanned | Ceremony::Approved) {
                w.ceremony = Ceremony::Cut;
            }
        }
        _ => {}
    }
}

#[test]
fn no_interleaving_lets_a_device_that_fell_pass_after_the_bound() {
    let checked = Server(Without::Nothing).checker().spawn_bfs().join();
    println!("{} states", checked.unique_state_count());
    checked.assert_properties();
}

#[test]
fn without_any_one_guard_the_model_finds_the_way_through() {
    for (without, broken) in [
        (Without::DeviceGuardOfApprove, APPROVAL),
        (Without::DeviceGuardOfRedeem, NOTHING_LEFT),
        (Without::DeviceGuardOfRefresh, TOKEN_BOUND),
        (Without::SessionGuardOfRefresh, SESSION_BOUND),
        (Without::DeviceGuardOfJudge, JUDGED),
        (Without::DeviceAtTheGate, DECISION),
        (Without::Sweep, NOTHING_LEFT),
    ] {
        let checked = Server(without).checker().spawn_bfs().join();
        let found = checked.discovery(broken).unwrap_or_else(|| panic!("{without:?}: `{broken}` holds all the same"));
        println!("{without:?}: {:?}", found.into_actions());
    }
}

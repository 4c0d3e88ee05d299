//! What must hold along any path, whatever is sent when.

use crate::world::{Command, Kind, T0, open};
use countersign_trust::ceremony::{Ceremony, State};
use countersign_wire::Time;
use proptest::prelude::*;

/// One thing that happens: a command, so many milliseconds after the last (or before it: clocks
/// of nodes differ), committed so much later.
type Move = (usize, i64, i64);

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let gap = prop_oneof![
        6 => 0_i64..8_000,
        2 => 0_i64..130_000,
        1 => -4_000_i64..0,
    ];
    let delay = prop_oneof![8 => Just(0_i64), 1 => 0_i64..40_000];
    proptest::collection::vec((0..Command::ALL.len() + 12, gap, delay), 1..60)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Screen), Just(Kind::Push)]
}

/// Commands of an ordinary sign-in are drawn more often, so that paths get far.
fn command(n: usize) -> Command {
    const USUAL: [Command; 12] = [
        Command::ScanAgain, Command::ScanAgain, Command::ScanFar, Command::Take,
        Command::ConfirmTerminal, Command::ConfirmTerminal, Command::ConfirmDevice,
        Command::Approve, Command::Approve, Command::Redeem, Command::Redeem, Command::Claim,
    ];
    Command::ALL.get(n).map_or_else(|| USUAL[n - Command::ALL.len()], |(c, _)| *c)
}

/// Checks one change and returns whether it began a redemption.
fn check(before: &Ceremony, after: &Ceremony, now: Time) -> Result<bool, TestCaseError> {
    prop_assert!(!before.is_over(), "left {}", before.state_name());
    if let Some(end) = after.deadline() {
        prop_assert!(end <= after.ceiling(), "a deadline beyond the ceiling");
    }
    match (&before.state, &after.state) {
        (State::Opened(_), State::Opened(b)) => prop_assert!(b.denied > 0),
        (State::Opened(_), State::Scanned(s)) => prop_assert!(!s.demanded.directions.is_empty()),
        (State::Opened(_), State::Confirmed(s)) => prop_assert!(s.demanded.directions.is_empty()),
        (State::Scanned(a), State::Scanned(b)) => prop_assert!(b.tries <= a.tries && b.tries > 0),
        (State::Scanned(_), State::Confirmed(s)) => {
            prop_assert!(s.demanded.directions.iter().all(|d| s.done.contains(d)));
        }
        (State::Confirmed(_), State::Approved(a)) => prop_assert!(a.at == now),
        (State::Approved(_), State::Redeemed(_)) => {}
        (State::Redeemed(a), State::Redeemed(b)) => {
            prop_assert!(!a.claimed && b.claimed && a.session == b.session);
        }
        (_, State::Ended(_)) => {}
        (a, b) => prop_assert!(false, "from {a:?} to {b:?}"),
    }
    // Whoever scanned, and what was shown, never changes again.
    if let (Some(a), Some(b)) = (before.scan_facts(), after.scan_facts()) {
        prop_assert!(a.device == b.device && a.person == b.person);
        prop_assert!(a.statement == b.statement && a.rights == b.rights && a.until == b.until);
    }
    if before.scan_facts().is_some() {
        prop_assert!(after.scan_facts().is_some(), "evidence lost");
    }
    if !after.is_over() {
        prop_assert!(before.deadline().is_none_or(|end| now < end), "lived on after its end");
    }
    let began = matches!(after.state, State::Redeemed(_))
        && !matches!(before.state, State::Redeemed(_));
    Ok(began)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn whatever_is_sent_one_challenge_gives_at_most_one_result(kind in kinds(), moves in moves()) {
        let mut c = open(kind);
        let mut now = T0;
        let mut redeemed = 0;
        let mut sessions = Vec::new();
        for (n, gap_ms, delay_ms) in moves {
            now = now.plus_ms(gap_ms);
            let step = command(n).run(&c, now);
            prop_assert!(step.records.len() <= 1);
            let Some(next) = step.next.clone() else {
                prop_assert!(step.before.is_none());
                continue;
            };
            prop_assert!(!step.records.is_empty(), "a change without its record");
            let recorded = step.records.first().and_then(|r| r.refusal);
            prop_assert_eq!(recorded, step.answer.err(), "the log hears what the caller hears");
            // The writer looks at its own clock: what is late by then is not written.
            if step.before.is_some_and(|end| now.plus_ms(delay_ms) >= end) {
                continue;
            }
            let after = Ceremony { version: c.version + 1, opening: c.opening.clone(), state: next };
            if check(&c, &after, now)? {
                redeemed += 1;
                sessions.extend(after.session().cloned());
            }
            c = after;
        }
        prop_assert!(redeemed <= 1, "redeemed {redeemed} times");
        prop_assert!(sessions.len() <= 1);
    }

    #[test]
    fn two_racers_with_one_version_make_one_winner(kind in kinds(), moves in moves(), a in 0..25_usize, b in 0..25_usize) {
        // Both judge the same row; only the first write finds its version, the other judges anew.
        let mut c = open(kind);
        let mut now = T0;
        for (n, gap_ms, _) in moves {
            now = now.plus_ms(gap_ms.max(0));
            if let Some(next) = command(n).run(&c, now).next {
                c = Ceremony { version: c.version + 1, opening: c.opening.clone(), state: next };
            }
        }
        let first = command(a).run(&c, now);
        let second_stale = command(b).run(&c, now);
        if let (Some(next), Some(_)) = (first.next, second_stale.next) {
            let mut redeemed = 0;
            let won = Ceremony { version: c.version + 1, opening: c.opening.clone(), state: next };
            redeemed += i32::from(check(&c, &won, now)?);
            if let Some(next) = command(b).run(&won, now).next {
                let last = Ceremony { version: won.version + 1, opening: won.opening.clone(), state: next };
                redeemed += i32::from(check(&won, &last, now)?);
            }
            prop_assert!(redeemed <= 1);
        }
    }
}

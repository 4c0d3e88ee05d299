//! Ring 0: every place × command × {early, in time, late} of the ceremony, against a table that is
//! written out, and what must hold along any path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cells;
mod invariants;
mod world;

use countersign_trust::audit::Kind as EventKind;
use countersign_trust::ceremony::{Ceremony, State, Step};
use countersign_trust::Refusal;
use countersign_wire::Time;
use std::collections::HashMap;
use world::{Command, Kind, Place, T0};

/// Where the clock stands, seen from the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum When {
    Early,
    InTime,
    Late,
}

const WHENS: [When; 3] = [When::Early, When::InTime, When::Late];

/// What a cell says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cell {
    next: String,
    answer: Option<Refusal>,
}

type Table = HashMap<(Command, Place, When), Cell>;

fn cell(text: &str) -> Result<Cell, String> {
    let mut words = text.split_whitespace();
    let next = words.next().ok_or("an empty cell")?.to_owned();
    let known = ["=", "~", "Scanned", "Confirmed", "Approved", "Redeemed", "Refused", "Expired",
        "Abandoned", "Revoked"];
    if !known.contains(&next.as_str()) {
        return Err(format!("`{next}` is no state"));
    }
    let answer = match words.next() {
        None => None,
        Some(code) => Some(Refusal::parse(code).ok_or(format!("`{code}` is no refusal"))?),
    };
    Ok(Cell { next, answer })
}

/// Reads a table. Unknown words, cells said twice and cells left out are faults.
fn read(text: &str) -> Result<Table, String> {
    let mut table = Table::new();
    let mut command = None;
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        if !line.starts_with(' ') {
            let found = Command::ALL.iter().find(|(_, name)| *name == line.trim());
            command = Some(found.ok_or(format!("no command `{line}`"))?.0);
            continue;
        }
        let command = command.ok_or("a line before the first command")?;
        let parts: Vec<&str> = line.split('|').collect();
        let [places, cells @ ..] = parts.as_slice() else { return Err(line.into()) };
        if cells.len() != WHENS.len() {
            return Err(format!("three cells are needed: {line}"));
        }
        for name in places.split_whitespace() {
            let place = Place::ALL.iter().find(|(_, n)| *n == name);
            let place = place.ok_or(format!("no place `{name}`"))?.0;
            for (when, text) in WHENS.into_iter().zip(cells) {
                if table.insert((command, place, when), cell(text)?).is_some() {
                    return Err(format!("said twice: {command:?} {place:?} {when:?}"));
                }
            }
        }
    }
    for (command, _) in Command::ALL {
        for (place, _) in Place::ALL {
            for when in WHENS {
                if !table.contains_key(&(command, place, when)) {
                    return Err(format!("missing: {command:?} {place:?} {when:?}"));
                }
            }
        }
    }
    Ok(table)
}

/// The moments that stand for one column, at the edges of what it covers.
fn moments(c: &Ceremony, command: Command, when: When) -> Vec<Time> {
    let began = c.began();
    let end = c.deadline();
    let last = end.map_or(began.plus_s(86_400), |e| Time(e.0 - 1));
    match when {
        When::Early => vec![Time(began.plus_s(-2).0 - 1), began.plus_s(-3600)],
        When::Late => match end {
            Some(end) => vec![end, end.plus_s(3600)],
            // What has no end is judged alike for ever.
            None => vec![began.plus_s(86_400)],
        },
        When::InTime => match command {
            Command::RedeemAgain => vec![began.plus_s(-2), began, began.plus_ms(9_999)],
            Command::RedeemLater => vec![began.plus_ms(10_000), last],
            _ => vec![began.plus_s(-2), began, began.plus_s(1), last],
        },
    }
}

/// The step in the words of the table.
fn said(before: &Ceremony, step: &Step) -> Cell {
    let name = |state: &State| {
        let c = Ceremony { state: state.clone(), ..before.clone() };
        let mut name = c.state_name().to_owned();
        name[..1].make_ascii_uppercase();
        name
    };
    let next = match &step.next {
        None => "=".to_owned(),
        Some(next) if name(next) == name(&before.state) => "~".to_owned(),
        Some(next) => name(next),
    };
    Cell { next, answer: step.answer.err() }
}

#[test]
fn every_cell_of_the_table_is_what_the_code_does() {
    let table = read(cells::TABLE).unwrap();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (place, place_name) in Place::ALL {
        let ceremony = place.make();
        for (command, command_name) in Command::ALL {
            for when in WHENS {
                let want = &table[&(command, place, when)];
                for now in moments(&ceremony, command, when) {
                    let step = command.run(&ceremony, now);
                    let got = said(&ceremony, &step);
                    judged += 1;
                    if got != *want {
                        let at = now.ms_since(ceremony.began());
                        wrong.push(format!(
                            "{place_name} × {command_name} × {when:?} ({at} ms): \
                             table {want:?}, code {got:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {judged} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(judged > 18 * 25 * 3, "{judged}");
}

#[test]
fn a_missing_doubled_or_unknown_cell_is_noticed() {
    let full = cells::TABLE;
    assert!(read(full).is_ok());
    let line = "  redeemed                               | = clock | ~                         | Revoked gone\n";
    assert!(full.contains(line));
    let without = full.replace(line, "");
    assert!(read(&without).unwrap_err().contains("missing: Claim Redeemed"));
    assert!(read(&format!("{full}{line}")).unwrap_err().contains("said twice"));
    assert!(read(&full.replace("last-try", "first-try")).is_err());
    assert!(read(&full.replace("Revoked gone", "Revoked vanished")).is_err());
    assert!(read(&full.replace("\nclaim\n", "\nreclaim\n")).is_err());
}

#[test]
fn a_ceremony_opens_for_as_long_as_its_way_in_lives() {
    for (kind, life_s) in [(Kind::Screen, 300), (Kind::Push, 300)] {
        let c = world::open(kind);
        assert_eq!(c.state_name(), "opened", "{kind:?}");
        assert_eq!(c.deadline(), Some(T0.plus_s(life_s)), "{kind:?}");
        assert_eq!(c.ceiling(), T0.plus_s(600));
        assert!(c.is_pending() && !c.is_over());
    }
}

#[test]
fn each_state_lives_as_long_as_the_specification_says() {
    let life = |place: Place| {
        let c = place.make();
        c.deadline().map(|end| end.ms_since(c.began()) / 1000)
    };
    assert_eq!(life(Place::Scanned), Some(120));
    assert_eq!(life(Place::Confirmed), Some(120), "confirming buys no time");
    assert_eq!(life(Place::Approved), Some(30));
    assert_eq!(life(Place::Redeemed), Some(60));
    for place in [Place::Claimed, Place::Refused, Place::Expired, Place::Unseen, Place::Abandoned, Place::Revoked] {
        assert_eq!(life(place), None, "{place:?}");
    }
}

#[test]
fn not_me_is_recorded_even_when_it_is_over() {
    for place in [Place::Refused, Place::Expired, Place::Abandoned, Place::Revoked] {
        let c = place.make();
        let step = Command::NotMe.run(&c, c.began().plus_s(60));
        assert!(step.next.is_none() && step.answer.is_ok());
        assert!(step.records.iter().any(|r| r.kind == EventKind::NotMe), "{place:?}");
    }
}

#[test]
fn a_redemption_is_recorded_with_a_verdict_for_each_mitigation() {
    let step = Command::Redeem.run(&Place::Approved.make(), Place::Approved.make().began());
    let facts = &step.records[0].facts;
    let numbers: Vec<_> = facts["verdicts"].as_array().unwrap().iter().map(|v| v["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=17).collect::<Vec<_>>());
    assert_eq!(facts["policies"][0], "sign-in");
    assert!(facts["verdicts"].as_array().unwrap().iter().all(|v| v["verdict"].is_string() && v["because"].is_string()));
}

#[test]
fn a_change_that_gives_something_holds_only_before_its_deadline() {
    let gives = [
        (Place::Opened, Command::ScanNew),
        (Place::Opened, Command::ScanRefused),
        (Place::Scanned, Command::ConfirmTerminal),
        (Place::Scanned, Command::ConfirmWrong),
        (Place::Confirmed, Command::Approve),
        (Place::Approved, Command::Redeem),
        (Place::Redeemed, Command::Claim),
    ];
    for (place, command) in gives {
        let c = place.make();
        let step = command.run(&c, c.began().plus_s(1));
        assert_eq!(step.before, c.deadline(), "{place:?} {command:?}");
    }
}

#[test]
fn three_wrong_tries_in_any_direction_refuse_and_keep_the_scan_as_evidence() {
    let mut c = Place::ScannedBoth.make();
    let mut heard = Vec::new();
    for _ in 0..3 {
        let step = Command::ConfirmWrong.run(&c, c.began().plus_s(5));
        heard.push(step.answer.unwrap_err());
        c.state = step.next.unwrap();
    }
    assert_eq!(heard, [Refusal::WrongCode, Refusal::WrongCode, Refusal::Denied]);
    assert_eq!(c.state_name(), "refused");
    assert_eq!(c.scan_facts().unwrap().device, world::device(1));
}

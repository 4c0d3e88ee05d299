//! Row 13, whole: whoever or whatever loses its right to act between any two steps, of any way in,
//! gets nothing from there on.
//!
//! 1. A *way* is a chain of steps as a browser, a phone and a client take them.
//! 2. A *change* takes a right away: of a person, a device, a passkey, a client, a session, a policy.
//! 3. For every way, every change and every place between two steps: the steps before succeed, the
//!    change is made, the rest is tried to its end. No step that gives something may succeed, and what
//!    refused has a stable code.
//! 4. [`doors`] fails when the server has a door or a grant that no way passes and no reason excuses.

mod back;
mod changes;
mod collecting;
mod doors;
mod ways;

use changes::Change;
use countersign_sim::stage::{REDIRECT, SECRET, STOCK, Scene, Settings, Stage};
use countersign_wire::{b64, mac};
use std::sync::OnceLock;
use ways::{CLIENTS, Play, READER, Step, Way};

/// Where the tokens of the clients are for.
const AUDIENCE: &str = "https://rows.example";

static STAGE: OnceLock<Stage> = OnceLock::new();

/// A client for each cell: one that was switched off serves no other.
fn settings() -> Settings {
    let clients: String = (0..CLIENTS)
        .map(|n| format!("[[clients]]\nid = \"life-{n}\"\nname = \"Life {n}\"\nredirect_uris = [\"{REDIRECT}\"]\nscopes = [\"profile\"]\naudience = \"{AUDIENCE}\"\ndevice_grant = true\nrefresh = \"always\"\nwithout_phone = {{ approved_by = [\"supervisor\"], scopes = [\"openid\", \"profile\"], for_s = 600 }}\nmay_act = [\"life-helper-{n}\"]\n"))
        .collect();
    let secret = format!("auth = \"client_secret_basic\"\nsecret_hash = \"{}\"\n", b64::encode(&mac::h(SECRET.as_bytes())));
    // Some have a secret besides: only they may ask for people by name.
    let asking: String = (0..collecting::ASKING)
        .map(|n| format!("[[clients]]\nid = \"{}\"\nname = \"Life {n}\"\nscopes = [\"profile\"]\naudience = \"{AUDIENCE}\"\n{secret}refresh = \"always\"\nciba = {{ binding_digits = true, tells_address = true }}\n", collecting::asking(n)))
        .collect();
    let reader = format!(
        "[[clients]]\nid = \"{READER}\"\nname = \"Reader\"\nredirect_uris = [\"{REDIRECT}\"]\n{secret}\
         introspects = [\"{AUDIENCE}\", \"{STOCK}\"]\nasks_about = [\"token\", \"client\", \"identity\", \"tool\"]\n"
    );
    Settings { more: format!("recovery_delay_s = 0\n{clients}{asking}{reader}"), ..Settings::default() }
}

fn stage() -> &'static Stage {
    Stage::shared(&STAGE, settings)
}

/// One cell of the table: what went wrong, if anything did.
async fn cell(scene: &Scene<'_>, way: Way, change: Change, at: usize) -> Result<(), String> {
    let mut play = Play::new(scene, way).await;
    let name = format!("{way:?}, {change:?} before {:?}", way.steps()[at]);
    for step in &way.steps()[..at] {
        if let Err(fault) = play.step(*step).await {
            return Err(format!("{name}: {step:?} failed before anything was changed: {fault}"));
        }
    }
    if !change.make(&play).await {
        return Ok(());
    }
    let mut refused = false;
    for step in &way.steps()[at..] {
        match play.step(*step).await {
            Ok(()) if step.gives() => return Err(format!("{name}: {step:?} gave something")),
            Ok(()) => {}
            Err(fault) => {
                let code = ways::code(&fault);
                if !ways::CODES.contains(&code.as_str()) {
                    return Err(format!("{name}: {step:?} refused with `{code}`: {fault}"));
                }
                refused = true;
                // Later steps are tried all the same, as far as they have something to try with.
            }
        }
    }
    if refused { Ok(()) } else { Err(format!("{name}: nothing refused")) }
}

async fn table(way: Way) {
    let scene = stage().scene().await;
    let mut faults = Vec::new();
    for change in Change::ALL.into_iter().filter(|change| change.concerns(way)) {
        for at in 0..way.steps().len() {
            if let Err(fault) = cell(&scene, way, change, at).await {
                faults.push(fault);
            }
        }
    }
    assert!(faults.is_empty(), "{} cells:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_scan() {
    table(Way::Scan).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_pushed_request() {
    table(Way::Pushed).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_push() {
    table(Way::Push).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_passkey_on_the_screen() {
    table(Way::Passkey).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_adding_a_device() {
    table(Way::AddDevice).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_code_on_paper() {
    table(Way::Code).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_two_people_who_let_somebody_back_in() {
    table(Way::Officers).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_the_operators_console() {
    table(Way::Console).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_binding_anew() {
    table(Way::Rebind).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_recovered_device() {
    table(Way::Recovered).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_vouching_for_somebody_without_a_phone() {
    table(Way::Vouched).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_on_a_phone_that_a_shift_shares() {
    table(Way::Seat).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_asking_by_name() {
    table(Way::Ciba).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_device_grant() {
    table(Way::DeviceGrant).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_an_agents_call() {
    table(Way::Agent).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_workload() {
    table(Way::Workload).await;
}

#[tokio::test]
async fn x13_between_any_two_steps_of_a_workload_that_acts_for_a_person() {
    table(Way::Helper).await;
}

/// Rules that forbid everything come into force with a restart, between any two steps of every way.
#[tokio::test]
async fn x13_between_any_two_steps_rules_change() {
    let rules = tempfile::Builder::new().suffix(".cedar").tempfile().unwrap();
    let shipped = concat!(
        include_str!("../../../../../policies/ceremony.cedar"),
        include_str!("../../../../../policies/workload.cedar")
    );
    std::fs::write(rules.path(), shipped).unwrap();
    let of = settings();
    let more = format!("policies = \"{}\"\n{}", rules.path().display(), of.more);
    let stage = Stage::set(Settings { more, ..of }).await;
    stage.enrol_administrator().await;
    let scene = stage.scene().await;
    let mut plays = Vec::new();
    for way in Way::ALL {
        for at in 0..way.steps().len() {
            let mut play = Play::new(&scene, way).await;
            for step in &way.steps()[..at] {
                play.step(*step).await.unwrap_or_else(|fault| panic!("{way:?} {step:?}: {fault}"));
            }
            plays.push((way, at, play));
        }
    }
    stage.kill();
    std::fs::write(rules.path(), format!("{shipped}\n@id(\"closed\")\nforbid (principal, action, resource);\n")).unwrap();
    stage.restart().await;
    let mut faults = Vec::new();
    for (way, at, mut play) in plays {
        for step in &way.steps()[at..] {
            if play.step(*step).await.is_ok() && step.gives() && way.is_under_rules() {
                faults.push(format!("{way:?} before {:?}: {step:?} gave something", way.steps()[at]));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Every step gives what it should when nothing is taken away: else the table would prove nothing.
#[tokio::test]
async fn x13_every_way_works_to_its_end() {
    let scene = stage().scene().await;
    for way in Way::ALL {
        let mut play = Play::new(&scene, way).await;
        for step in way.steps() {
            play.step(*step).await.unwrap_or_else(|fault| panic!("{way:?} {step:?}: {fault}"));
        }
        assert!(way.steps().iter().copied().any(Step::gives), "{way:?}");
    }
}

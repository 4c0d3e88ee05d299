//! What takes a right away.

use super::ways::{Play, Way};
use countersign_store::Statement;

/// A change between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The operator locks the person.
    PersonLocked,
    /// The operator ends the person.
    PersonEnded,
    /// The operator stops the phone for now.
    DeviceSuspended,
    /// The operator ends the phone.
    DeviceRevoked,
    /// The passkey was removed.
    PasskeyRemoved,
    /// The client was switched off, or the workload ended.
    ClientDisabled,
    /// Request, code, grant and session ran out.
    Expired,
}

impl Change {
    pub const ALL: [Change; 7] = [
        Change::PersonLocked,
        Change::PersonEnded,
        Change::DeviceSuspended,
        Change::DeviceRevoked,
        Change::PasskeyRemoved,
        Change::ClientDisabled,
        Change::Expired,
    ];

    /// Makes it; false where it means nothing on this way.
    pub async fn make(self, play: &Play<'_>) -> bool {
        let device = play.phone.kept().device_id.to_string();
        let command = |words: &[&str]| {
            play.scene.stage.command(words).unwrap_or_else(|said| panic!("{words:?}: {said}"));
        };
        let of_a_person = matches!(self, Change::DeviceSuspended | Change::DeviceRevoked | Change::PasskeyRemoved);
        if play.way == Way::Workload && of_a_person {
            // It acts by its own key; somebody still answers for it.
            return false;
        }
        match self {
            Change::PersonLocked => command(&["person", "lock", &play.login]),
            Change::PersonEnded => command(&["person", "end", &play.login]),
            Change::DeviceSuspended => command(&["device", "suspend", &device]),
            Change::DeviceRevoked => command(&["device", "revoke", &device]),
            Change::ClientDisabled if play.way == Way::AddDevice => return false,
            Change::ClientDisabled if play.way == Way::Workload => command(&["workload", "end", &play.robot.client]),
            Change::ClientDisabled => command(&["client", "disable", &play.client]),
            // Nothing in the program removes a passkey alone yet: done to the row, as that would.
            Change::PasskeyRemoved => {
                let sql = "UPDATE credential SET live = 0, version = version + 1 WHERE device = $1";
                return run(play, sql, &device).await;
            }
            Change::Expired if play.way == Way::Workload => {
                return run(play, "UPDATE workload SET until = 1 WHERE client = $1 AND ended IS NULL", &play.robot.client).await;
            }
            Change::Expired => return expire(play, &device).await,
        }
        true
    }
}

async fn run(play: &Play<'_>, sql: &'static str, id: &str) -> bool {
    play.scene.engine.upkeep(vec![Statement::any(sql, [id.into()])]).await.unwrap() > 0
}

/// Moves the end of request, code, grant and session to the past, as if the time had gone by. What a
/// ceremony does late is enumerated in `crates/trust/tests/table`. Answers whether there was anything.
async fn expire(play: &Play<'_>, device: &str) -> bool {
    let mut any = false;
    for sql in [
        "UPDATE request SET expires_at = 1 WHERE client = $1",
        "UPDATE code SET expires_at = 1 WHERE client = $1",
        "UPDATE oauth_grant SET expires_at = 1 WHERE client = $1",
    ] {
        any |= run(play, sql, &play.client).await;
    }
    any | run(play, "UPDATE session SET idle_until = 1 WHERE device = $1", device).await
}

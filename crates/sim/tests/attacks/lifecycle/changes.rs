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
    /// Request, code, grant, session, ticket and way back ran out.
    Expired,
    /// The person took it back, with another device.
    Stopped,
    /// The device is reported as compromised.
    Compromised,
    /// The operator locks the first of two who let somebody back in, or whoever vouches.
    OfficerLocked,
    /// The operator ends the phone of the second.
    SecondOfficerRevoked,
    /// The program that acts for the person was ended.
    HelperEnded,
    /// The device that an agent runs on was ended.
    LaptopRevoked,
    /// The operator stops the phone that a shift shares.
    SharedSuspended,
    /// It is lost.
    SharedLost,
}

impl Change {
    pub const ALL: [Change; 15] = [
        Change::PersonLocked,
        Change::PersonEnded,
        Change::DeviceSuspended,
        Change::DeviceRevoked,
        Change::PasskeyRemoved,
        Change::ClientDisabled,
        Change::Expired,
        Change::Stopped,
        Change::Compromised,
        Change::OfficerLocked,
        Change::SecondOfficerRevoked,
        Change::HelperEnded,
        Change::LaptopRevoked,
        Change::SharedSuspended,
        Change::SharedLost,
    ];

    /// Whether it can mean something on a way.
    pub fn concerns(self, way: Way) -> bool {
        match self {
            Change::ClientDisabled => way.has_client() || matches!(way, Way::Workload | Way::Agent),
            Change::DeviceSuspended | Change::DeviceRevoked | Change::PasskeyRemoved | Change::Compromised => !matches!(way, Way::Workload | Way::Console),
            Change::Stopped => matches!(way, Way::Code | Way::Officers | Way::Console | Way::Recovered),
            Change::OfficerLocked => matches!(way, Way::Officers | Way::Vouched),
            Change::SecondOfficerRevoked => way == Way::Officers,
            Change::HelperEnded => way == Way::Helper,
            Change::LaptopRevoked => way == Way::Agent,
            Change::SharedSuspended | Change::SharedLost => way == Way::Seat,
            Change::PersonLocked | Change::PersonEnded | Change::Expired => true,
        }
    }

    /// Makes it; false where there is nothing yet, or nothing any more, that it could be made to.
    pub async fn make(self, play: &Play<'_>) -> bool {
        let device = play.rests_on().map(|phone| phone.kept().device_id.to_string());
        let command = |words: &[&str]| {
            play.scene.stage.command(words).unwrap_or_else(|said| panic!("{words:?}: {said}"));
        };
        match self {
            Change::DeviceSuspended | Change::DeviceRevoked | Change::PasskeyRemoved | Change::Compromised if device.is_none() => return false,
            Change::PersonLocked => command(&["person", "lock", &play.login]),
            Change::PersonEnded => command(&["person", "end", &play.login]),
            Change::DeviceSuspended => command(&["device", "suspend", &device.unwrap_or_default()]),
            Change::DeviceRevoked => command(&["device", "revoke", &device.unwrap_or_default()]),
            Change::SharedSuspended | Change::SharedLost => {
                let verb = if self == Change::SharedLost { "lost" } else { "suspend" };
                let Some(phone) = &play.shared else { return false };
                command(&["terminal", verb, &phone.kept().terminal]);
            }
            Change::LaptopRevoked => match &play.laptop {
                Some(laptop) => command(&["device", "revoke", laptop.kept().device_id.as_str()]),
                None => return false,
            },
            Change::ClientDisabled if matches!(play.way, Way::Workload | Way::Agent) => command(&["workload", "end", &play.robot.client]),
            Change::ClientDisabled => command(&["client", "disable", &play.client]),
            // Nothing in the program removes a passkey alone yet: done to the row, as that would.
            Change::PasskeyRemoved => {
                let sql = "UPDATE credential SET live = 0, version = version + 1 WHERE device = $1";
                return run(play, sql, &device.unwrap_or_default()).await;
            }
            Change::Compromised => command(&["signal", "raise", "device.compromised", &device.unwrap_or_default()]),
            Change::Stopped => return play.stop().await,
            Change::OfficerLocked if play.way == Way::Vouched => command(&["person", "lock", &play.back.voucher]),
            Change::OfficerLocked => command(&["person", "lock", &play.back.officers[0].1]),
            Change::SecondOfficerRevoked => command(&["device", "revoke", play.back.officers[1].0.kept().device_id.as_str()]),
            // Before there is something to hand on, it is nobody's business.
            Change::HelperEnded if !play.has_tokens() => return false,
            Change::HelperEnded => command(&["workload", "end", &play.robot.client]),
            Change::Expired if play.asked.is_some() => {
                let sql = "UPDATE ceremony SET deadline = 1, body = json_set(body, '$.until', 1), version = version + 1 WHERE id = $1";
                return run(play, sql, play.asked.as_ref().map_or("", |id| id.as_str())).await;
            }
            Change::Expired if matches!(play.way, Way::Workload | Way::Agent) => {
                return run(play, "UPDATE workload SET until = 1 WHERE client = $1 AND ended IS NULL", &play.robot.client).await;
            }
            Change::Expired => return expire(play).await,
        }
        true
    }
}

async fn run(play: &Play<'_>, sql: &'static str, id: &str) -> bool {
    play.scene.engine.upkeep(vec![Statement::any(sql, [id.into()])]).await.unwrap() > 0
}

/// Moves the end of whatever has one to the past, as if the time had gone by. What a
/// ceremony does late is enumerated in `crates/trust/tests/table`. Answers whether there was anything.
async fn expire(play: &Play<'_>) -> bool {
    let mut any = false;
    for sql in [
        "UPDATE invitation SET expires_at = 1, body = json_set(body, '$.until', 1) WHERE state = 'open' \
         AND person = (SELECT person FROM name WHERE login = $1)",
        "UPDATE recovery SET expires_at = 1, body = json_set(body, '$.until', 1) WHERE state = 'open' \
         AND person = (SELECT person FROM name WHERE login = $1)",
    ] {
        any |= run(play, sql, &play.login).await;
    }
    for sql in [
        "UPDATE request SET expires_at = 1 WHERE client = $1",
        "UPDATE code SET expires_at = 1 WHERE client = $1",
        "UPDATE oauth_grant SET expires_at = 1 WHERE client = $1",
        "UPDATE ceremony SET deadline = 1, body = json_set(body, '$.until', 1), version = version + 1 WHERE client = $1 \
         AND state IN ('opened', 'scanned', 'confirmed', 'approved')",
    ] {
        any |= run(play, sql, &play.client).await;
    }
    any | run(play, "UPDATE session SET idle_until = 1 WHERE device = $1", play.phone.kept().device_id.as_str()).await
}

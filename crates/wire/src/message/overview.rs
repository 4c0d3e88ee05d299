//! What a person sees on their own device: devices, sessions, what happened, what asks for them.

use crate::statement::Purpose;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /device/overview`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Who is asking.
    pub me: Me,
    /// Id of the asking device.
    pub device: String,
    /// All devices of the person.
    pub devices: Vec<DeviceItem>,
    /// Live sessions.
    pub sessions: Vec<SessionItem>,
    /// What happened lately, newest first.
    pub activity: Vec<ActivityItem>,
    /// What every other device should hear.
    pub notices: Vec<NoticeItem>,
    /// Recovery codes, if any were made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recovery: Option<CodesItem>,
    /// Whether there are registered terminals, which read badges.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub badge: bool,
    /// Whether clients who ask for this person by name must bring a word that the person set; absent where no client asks so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_code: Option<bool>,
    /// What a page needs in order to be told that something waits, where this server tells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub push: Option<PushItem>,
}

/// Whether the asking device is told that something waits while nobody looks at it (Web Push).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushItem {
    /// The key that a browser subscribes with (`applicationServerKey`), base64url.
    pub key: String,
    /// Whether it is told.
    pub on: bool,
    /// The page is to subscribe anew: the time of what it gave runs out, or it was for another key.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub renew: bool,
}

/// `POST /device/push`: what a browser gave for those who want to tell it something.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Where its push service takes messages.
    pub endpoint: String,
    /// Its key, base64url.
    pub p256dh: String,
    /// Its secret, base64url.
    pub auth: String,
    /// The key of ours that it subscribed with.
    pub key: String,
}

/// The person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Me {
    /// Name.
    pub name: String,
    /// `member`, `recovery_officer` or `administrator`.
    pub role: String,
}

/// One device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceItem {
    /// Device id.
    pub id: String,
    /// What the person calls it.
    pub name: String,
    /// Its life: `pending` `active` `suspended` `lost` `revoked` `retired`.
    pub state: String,
    /// Whether it is the asking one.
    pub this: bool,
    /// `software` or `hardware`.
    pub key: String,
    /// Reduced rights until, seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limited_until: Option<i64>,
    /// Enrolled at, seconds.
    pub added_at: i64,
    /// On a phone that a shift shares.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub shared: bool,
}

/// One live session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionItem {
    /// Session id.
    pub id: String,
    /// Agent family of the screen.
    pub screen: String,
    /// Name of the registered terminal, where it is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terminal: Option<String>,
    /// Where that stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// Registered name of the client.
    pub client: String,
    /// Granted scopes.
    pub rights: Vec<String>,
    /// Rights that were given for a while.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub timed: Vec<RightItem>,
    /// Opened at, seconds.
    pub opened_at: i64,
    /// Ends at, seconds.
    pub until: i64,
    /// Seconds left.
    pub left_s: i64,
    /// Name of the device that opened it.
    pub by: String,
    /// Whose it is, where the asking person vouched for somebody else.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub whose: Option<String>,
    /// Who vouched for the asking person, where somebody did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vouched_by: Option<String>,
    /// Why it does not simply go on, if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub standing: Option<StandingItem>,
}

/// A right that was given for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightItem {
    /// Its id.
    pub id: String,
    /// The scope.
    pub scope: String,
    /// Ends at, seconds.
    pub until: i64,
    /// Seconds left.
    pub left_s: i64,
    /// Why it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Why a session does not simply go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingItem {
    /// `limit`, `step_up` or `lock`.
    pub effect: String,
    /// The deciding policy's sentence, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub say: Option<String>,
    /// Since when, seconds.
    pub since: i64,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ActivityItem {
    /// When, seconds.
    pub at: i64,
    /// Kind of event, e.g. `ceremony.redeemed`.
    pub kind: String,
    /// What the ceremony was for, as statements say it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub purpose: Option<Purpose>,
    /// Agent family of the screen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub screen: Option<String>,
    /// Ceremony id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cid: Option<String>,
    /// Refusal code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<String>,
}

/// Something the person's other devices must hear.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NoticeItem {
    /// Notice id.
    pub id: String,
    /// `device_added` `device_rebound` `device_recovered` `recovery_asked` `recovery_codes` `not_me`.
    pub kind: String,
    /// Name of the device it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<String>,
    /// When, seconds.
    pub at: i64,
    /// Whether [Undo] still works.
    pub undo: bool,
}

/// What a person sees of their recovery codes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CodesItem {
    /// How many were not used.
    pub left: usize,
    /// Made at, seconds.
    pub made_at: i64,
}

/// `GET /device/ceremonies/{cid}/story`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Story {
    /// Its events in order.
    pub events: Vec<Value>,
    /// A verdict for each mitigation of RFC 10027.
    pub verdicts: Vec<Value>,
}

/// A request offered to this person (push), without any detail that needs a scan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Requests, newest first.
    pub pending: Vec<PendingItem>,
}

/// One offered request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingItem {
    /// Ceremony id.
    pub cid: String,
    /// Registered name of the client.
    pub client: String,
    /// Left, milliseconds.
    pub left_ms: i64,
    /// Whether a terminal read this device's badge: then the device takes it by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub badge: bool,
}

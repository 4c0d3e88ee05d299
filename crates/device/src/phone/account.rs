//! What a person sees and ends from the phone: devices, sessions, notices, stories, invitations.

use super::Phone;
use crate::Fault;
use countersign_wire::CeremonyId;
use countersign_wire::message::{Invitation, Invite, Overview, Rename, Story, Subscribe, UserCode};
use serde_json::json;

impl Phone {
    /// Devices, sessions, activity, notices.
    pub async fn overview(&self) -> Result<Overview, Fault> {
        self.fetch("/device/overview").await
    }
    /// Wants to be told that something waits, by what a browser gave.
    pub async fn subscribe(&self, given: &Subscribe) -> Result<(), Fault> {
        self.tell("/device/push", given).await
    }
    /// No more.
    pub async fn unsubscribe(&self) -> Result<(), Fault> {
        self.tell("/device/push/end", &json!({})).await
    }
    /// Ends one session.
    pub async fn end(&self, session: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/sessions/{}/end", plain(session)?), &json!({})).await
    }
    /// Ends all sessions of the person.
    pub async fn end_all(&self) -> Result<(), Fault> {
        self.tell("/device/sessions/end", &json!({})).await
    }
    /// Declares a device lost: it can do nothing any more, and all it opened ends.
    pub async fn lost(&self, device: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/devices/{}/lost", plain(device)?), &json!({})).await
    }
    /// Lets a waiting device in.
    pub async fn allow(&self, device: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/devices/{}/allow", plain(device)?), &json!({})).await
    }
    /// Throws a waiting device out.
    pub async fn not_mine(&self, device: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/devices/{}/not-mine", plain(device)?), &json!({})).await
    }
    /// Renames a device.
    pub async fn rename(&self, device: &str, name: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/devices/{}/rename", plain(device)?), &Rename { name: name.to_owned() }).await
    }
    /// Undoes what a notice is about.
    pub async fn undo(&self, notice: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/notices/{}/undo", plain(notice)?), &json!({})).await
    }
    /// Takes note of a notice.
    pub async fn ok(&self, notice: &str) -> Result<(), Fault> {
        self.tell(&format!("/device/notices/{}/ok", plain(notice)?), &json!({})).await
    }
    /// The events and verdicts of one ceremony.
    pub async fn story(&self, cid: &CeremonyId) -> Result<Story, Fault> {
        self.fetch(&format!("/device/ceremonies/{cid}/story")).await
    }
    /// Sets the word that clients must bring who ask for this person by name, or (empty) removes it.
    pub async fn user_code(&self, word: &str) -> Result<(), Fault> {
        self.tell("/device/user-code", &UserCode { code: word.to_owned() }).await
    }
    /// Invites a person (administrators).
    pub async fn invite(&self, invite: &Invite) -> Result<Invitation, Fault> {
        self.post("/device/invitations", invite).await
    }
}

/// An id as part of a path: letters, digits and hyphens, so that nothing else is addressed.
fn plain(id: &str) -> Result<&str, Fault> {
    if !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        Ok(id)
    } else {
        Err(Fault::Usage(format!("`{}` is no id", id.escape_debug())))
    }
}

//! A seat on a phone that a shift shares: beside the device's own key there is the phone's, which vouches for it.

use super::{InviteLink, Phone};
use crate::keys::Prove;
use crate::{Fault, Http, Passkey, SoftwareKey};
use countersign_wire::message::{AssertionAsk, Unlock, Unlocked};
use serde_json::json;
use url::Url;

impl Http {
    /// A proof of a request to `url` by a phone's key over the thumbprint of a seat's. A nonce was heard before.
    pub fn vouched(&self, url: &Url, on: &dyn Prove, seat: &SoftwareKey) -> Result<String, Fault> {
        self.proof_over(url, on, seat.public().thumbprint().as_str().as_bytes())
    }
}

impl Phone {
    /// Enrols a seat on the phone of this key.
    pub async fn enrol_on(http: Http, link: &str, on: &dyn Prove, name: &str) -> Result<Phone, Fault> {
        let invite = InviteLink::parse(link)?;
        Phone::enrol_whole(http, &invite, SoftwareKey::generate()?, name, None, Passkey::create, Some(on)).await
    }

    /// The same with an approved ticket and the key that it is for.
    pub async fn enrol_with_on(http: Http, invite: &InviteLink, key: SoftwareKey, name: &str, on: &dyn Prove) -> Result<Phone, Fault> {
        Phone::enrol_whole(http, invite, key, name, None, Passkey::create, Some(on)).await
    }

    /// What the seat's passkey must sign.
    pub async fn unlock_options(&self) -> Result<AssertionAsk, Fault> {
        self.post("/device/unlock/options", &json!({})).await
    }

    /// Shows by the passkey who has the phone in hand.
    pub async fn unlock(&self, on: &dyn Prove) -> Result<Unlocked, Fault> {
        self.unlock_by(&self.unlock_options().await?, on).await
    }

    /// The same with options that it has.
    pub async fn unlock_by(&self, ask: &AssertionAsk, on: &dyn Prove) -> Result<Unlocked, Fault> {
        let body = Unlock { assertion: self.assert(ask)?, phone: self.http.vouched(&self.url("/device/unlock")?, on, &self.key)? };
        self.post("/device/unlock", &body).await
    }

    /// Hands the phone on.
    pub async fn hand_on(&self) -> Result<(), Fault> {
        self.tell("/device/lock", &json!({})).await
    }

    /// Leaves the phone for good.
    pub async fn leave(&self) -> Result<(), Fault> {
        self.tell(&format!("/device/devices/{}/leave", self.kept().device_id), &json!({})).await
    }
}

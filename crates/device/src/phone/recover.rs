//! The way back: codes made on an enrolled phone, and what a new phone asks with the key that it brings.

use super::{InviteLink, Phone};
use crate::http::{Call, Prover};
use crate::keys::Folder;
use crate::{Fault, Http, SoftwareKey};
use countersign_wire::message::{AssertionAsk, CodesMade, MakeCodes, RecoveryView, Ticket, UseCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::Url;

impl Phone {
    /// What this person's passkey must sign before recovery codes are made.
    pub async fn codes_options(&self) -> Result<AssertionAsk, Fault> {
        self.post("/device/recovery-codes/options", &json!({})).await
    }

    /// New recovery codes, told once; those before are worth nothing.
    pub async fn recovery_codes(&self) -> Result<Vec<String>, Fault> {
        let assertion = self.assert(&self.codes_options().await?)?;
        let made: CodesMade = self.post("/device/recovery-codes", &MakeCodes { assertion }).await?;
        Ok(made.codes)
    }
}

/// A device that is to be let in although its person has none left.
pub struct Recovering {
    /// Its connections.
    pub http: Http,
    /// The key it will keep.
    pub key: SoftwareKey,
    /// The server.
    pub issuer: Url,
}

impl Recovering {
    async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Fault> {
        let url = self.issuer.join(path).map_err(|_| Fault::Usage(format!("`{path}` is no path")))?;
        self.http.ask(&Call::post(url, body)?.proved(Prover::device(&self.key))).await
    }

    /// A ticket for a code on paper.
    pub async fn code(&self, login: &str, code: &str) -> Result<Ticket, Fault> {
        self.post("/recovery/code", &UseCode { login: login.to_owned(), code: code.to_owned() }).await
    }

    /// How far two people's approvals are.
    pub async fn standing(&self) -> Result<RecoveryView, Fault> {
        self.post("/recovery/standing", &json!({})).await
    }

    /// A ticket, once the wait is over.
    pub async fn collect(&self) -> Result<Ticket, Fault> {
        self.post("/recovery/collect", &json!({})).await
    }

    /// Gives it up.
    pub async fn cancel(&self) -> Result<(), Fault> {
        let url = self.issuer.join("/recovery/cancel").map_err(|_| Fault::Usage("no address".into()))?;
        self.http.call(&Call::post(url, &json!({}))?.proved(Prover::device(&self.key))).await.map(|_| ())
    }

    /// Enrols with the ticket.
    pub async fn enrol(self, ticket: &Ticket, name: &str, folder: Option<Folder>) -> Result<Phone, Fault> {
        let invite = InviteLink { issuer: self.issuer, token: ticket.ticket.clone() };
        Phone::enrol_with(self.http, &invite, self.key, name, folder).await
    }
}

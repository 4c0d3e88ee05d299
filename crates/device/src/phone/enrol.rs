//! Enrolment: by an invitation's link, by a ticket that another device approved, or again by a
//! passkey after the device key was lost.

use super::{DEVICE_KEY, Kept, PASSKEY_KEY, Phone, STATE};
use crate::http::{Call, Prover};
use crate::keys::{Folder, Prove};
use crate::passkey::{Wanted, host_of};
use crate::{Fault, Http, Passkey, SoftwareKey};
use countersign_wire::PersonId;
use countersign_wire::message::{AssertionAsk, Creation, Enrolled, FinishEnrolment, Invited, NewCredential, Rebind, Token};
use serde_json::json;
use url::Url;

/// Where and with what an enrolment goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteLink {
    /// The server.
    pub issuer: Url,
    /// The one-time token.
    pub token: String,
}

impl InviteLink {
    /// Reads `https://HOST/enrol#TOKEN`.
    pub fn parse(link: &str) -> Result<InviteLink, Fault> {
        let wrong = || Fault::Usage("that is no invitation link: it looks like `https://HOST/enrol#…`".into());
        let mut url = Url::parse(link.trim()).map_err(|_| wrong())?;
        let token = url.fragment().filter(|t| !t.is_empty()).ok_or_else(wrong)?.to_owned();
        if url.path() != "/enrol" || url.query().is_some() || !url.has_host() {
            return Err(wrong());
        }
        url.set_fragment(None);
        url.set_path("/");
        Ok(InviteLink { issuer: url, token })
    }
}

/// Where an enrolment ends.
const FINISH: &str = "/enrolments/finish";

/// One step of an enrolment after the other, for those who want to leave one out.
pub struct Enrolling<'a> {
    /// Connections.
    pub http: &'a Http,
    /// The server and the token.
    pub invite: &'a InviteLink,
    /// The future device key.
    pub key: &'a SoftwareKey,
}

impl Enrolling<'_> {
    fn origin(&self) -> String {
        self.invite.issuer.origin().ascii_serialization()
    }

    async fn post<B: serde::Serialize, T: serde::de::DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Fault> {
        let url = self.invite.issuer.join(path).map_err(|_| Fault::Usage("no address".into()))?;
        self.http.ask(&Call::post(url, body)?.proved(Prover::device(self.key))).await
    }

    /// What the invitation says; takes nothing.
    pub async fn look(&self) -> Result<Invited, Fault> {
        self.post("/enrolments/look", &Token { token: self.invite.token.clone() }).await
    }

    /// The options for the new passkey.
    pub async fn begin(&self) -> Result<Wanted, Fault> {
        let made: Creation = self.post("/enrolments/begin", &Token { token: self.invite.token.clone() }).await?;
        Wanted::parse(&made.creation, host_of(&self.origin()))
    }

    /// A passkey for `wanted`, and the end.
    pub async fn finish(&self, finish: &FinishEnrolment) -> Result<Enrolled, Fault> {
        self.post(FINISH, finish).await
    }
}

impl Phone {
    /// Enrols a new phone with an invitation's link; its state goes to `folder`, or nowhere.
    pub async fn enrol(http: Http, link: &str, name: &str, folder: Option<Folder>) -> Result<Phone, Fault> {
        Phone::enrol_with(http, &InviteLink::parse(link)?, SoftwareKey::generate()?, name, folder).await
    }

    /// The same with a passkey that says it may be copied, and was.
    pub async fn enrol_synced(http: Http, link: &str, name: &str, folder: Option<Folder>) -> Result<Phone, Fault> {
        let invite = InviteLink::parse(link)?;
        Phone::enrol_making(http, &invite, SoftwareKey::generate()?, name, folder, Passkey::create_synced).await
    }

    /// Enrols with a key of the caller's. The keys are on disk before the server hears of them, so
    /// that no enrolled device is without its key.
    pub async fn enrol_with(
        http: Http,
        invite: &InviteLink,
        key: SoftwareKey,
        name: &str,
        folder: Option<Folder>,
    ) -> Result<Phone, Fault> {
        Phone::enrol_making(http, invite, key, name, folder, Passkey::create).await
    }

    /// Enrols with a key and a passkey of the caller's making.
    pub async fn enrol_making(
        http: Http,
        invite: &InviteLink,
        key: SoftwareKey,
        name: &str,
        folder: Option<Folder>,
        make: impl Fn(&Wanted, &str) -> Result<(Passkey, NewCredential), Fault>,
    ) -> Result<Phone, Fault> {
        Phone::enrol_whole(http, invite, key, name, folder, make, None).await
    }

    /// The same; with `on`, on the phone of that key.
    pub(super) async fn enrol_whole(
        http: Http,
        invite: &InviteLink,
        key: SoftwareKey,
        name: &str,
        folder: Option<Folder>,
        make: impl Fn(&Wanted, &str) -> Result<(Passkey, NewCredential), Fault>,
        on: Option<&dyn Prove>,
    ) -> Result<Phone, Fault> {
        if let Some(folder) = &folder
            && Phone::is_kept_in(folder)?
        {
            return Err(Fault::Local(format!(
                "`{}` holds an enrolled device already: name another place with `--state`",
                folder.path().display()
            )));
        }
        let steps = Enrolling { http: &http, invite, key: &key };
        let invited = steps.look().await?;
        let wanted = steps.begin().await?;
        let origin = steps.origin();
        let (passkey, credential) = make(&wanted, &origin)?;
        if let Some(folder) = &folder {
            folder.write(DEVICE_KEY, key.pkcs8().expose())?;
            folder.write(PASSKEY_KEY, passkey.key.pkcs8().expose())?;
        }
        let url = invite.issuer.join(FINISH).map_err(|_| Fault::Usage("no address".into()))?;
        let vouched = on.map(|on| http.vouched(&url, on, &key)).transpose()?;
        let finish = FinishEnrolment { token: invite.token.clone(), device_name: name.to_owned(), credential, phone: vouched };
        let enrolled = steps.finish(&finish).await?;
        let kept = Kept {
            v: 1,
            issuer: origin,
            device_id: enrolled.device_id.parse().map_err(|_| Fault::Unreachable("the server sent no device id".into()))?,
            device_name: name.to_owned(),
            person: enrolled.name,
            organisation: invited.organisation,
            sub: std::str::from_utf8(&wanted.user).ok().and_then(|text| text.parse::<PersonId>().ok()),
            passkey: passkey.about.clone(),
            last: None,
            // Without them it is enrolled all the same: they can be asked for later.
            server_keys: match invite.issuer.join("jwks") {
                Ok(url) => http.ask(&Call::fetch(url)).await.ok(),
                Err(_) => None,
            },
            reports: 0,
        };
        if let Some(folder) = &folder {
            folder.write_json(STATE, &kept)?;
        }
        Phone::new(kept, key, passkey, http, folder)
    }

    /// Binds a new device key by this phone's passkey, as after a cleared browser. The phone goes
    /// on with `key`; what the server made of it is in the reply.
    pub async fn rebind(&mut self, key: SoftwareKey, name: &str) -> Result<Enrolled, Fault> {
        let ask = self.rebind_options(&key).await?;
        self.rebind_with(key, &ask, name).await
    }

    /// What a passkey must sign before `key` is bound.
    pub async fn rebind_options(&self, key: &SoftwareKey) -> Result<AssertionAsk, Fault> {
        let options = Call::post(self.url("/rebind/options")?, &json!({}))?.proved(Prover::device(key));
        self.http.ask(&options).await
    }

    /// Binds `key` with what its options asked for.
    pub async fn rebind_with(&mut self, key: SoftwareKey, ask: &AssertionAsk, name: &str) -> Result<Enrolled, Fault> {
        let body = Rebind { assertion: self.assert(ask)?, device_name: name.to_owned() };
        let finish = Call::post(self.url("/rebind/finish")?, &body)?.proved(Prover::device(&key));
        let made: Enrolled = self.http.ask(&finish).await?;
        let id = made.device_id.parse().map_err(|_| Fault::Unreachable("the server sent no device id".into()))?;
        if let Some(folder) = &self.folder {
            folder.write(DEVICE_KEY, key.pkcs8().expose())?;
        }
        self.change(|kept| kept.device_id = id)?;
        self.key = key;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_link_is_read_and_nothing_like_it() {
        let read = InviteLink::parse(" https://id.example:8443/enrol#AbC ").unwrap();
        assert_eq!((read.issuer.as_str(), read.token.as_str()), ("https://id.example:8443/", "AbC"));
        for bad in ["https://id.example/enrol", "https://id.example/enrol#", "https://id.example/q#x", "enrol#x",
            "https://id.example/enrol?t=1#x"] {
            assert_eq!(InviteLink::parse(bad).unwrap_err().exit_code(), 2, "{bad}");
        }
    }
}

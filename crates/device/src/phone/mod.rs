//! The software phone: an enrolled device without a camera.
//!
//! 1. `enrol` makes a device key and a passkey with an invitation (ceremony §1).
//! 2. `scan` or `scan_code` shows the server what was read; what comes back is checked first and
//!    becomes a [`Checked`]: nothing else can be approved.
//! 3. `confirm` sends digits where this side is asked for them.
//! 4. `approve`, `refuse` or `not_me` signs the decision.

mod account;
mod check;
mod decide;
mod enrol;
mod glass;
mod posture;
mod recover;
mod seat;

pub use check::{Checked, Mine, check};
#[cfg(test)]
pub(crate) use check::tests::statement as example_statement;
pub use enrol::{Enrolling, InviteLink};
pub use glass::Shown;
pub use recover::Recovering;

use crate::http::{Call, Prover};
use crate::keys::Folder;
use crate::passkey::About;
use crate::{Fault, Http, Live, Passkey, SoftwareKey, Transport};
use countersign_wire::code::parse_user_code;
use countersign_wire::frame::Frame;
use countersign_wire::message::{BadgeMade, Confirm, DeviceView, Pending, Scan, StateOnly};
use countersign_wire::{CeremonyId, DeviceId, PersonId, Thumbprint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};
use url::Url;

const STATE: &str = "phone.json";
const DEVICE_KEY: &str = "device.key";
const PASSKEY_KEY: &str = "passkey.key";

/// What a phone remembers besides its two keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Format, 1.
    pub v: u8,
    /// The server it is enrolled with.
    pub issuer: String,
    /// Its id there.
    pub device_id: DeviceId,
    /// What its person calls it.
    pub device_name: String,
    /// Name of its person.
    pub person: String,
    /// Name of the operator.
    pub organisation: String,
    /// Subject of its person: learnt from the first statement, held to ever after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sub: Option<PersonId>,
    /// Its passkey.
    pub passkey: About,
    /// The request it scanned last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<CeremonyId>,
    /// The server's keys as they were when last asked for: what it sealed is known by them where it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_keys: Option<Value>,
    /// Number of its newest report about its health.
    #[serde(default)]
    pub reports: i64,
}

/// An enrolled software phone.
pub struct Phone {
    /// Its connections. Tests may add headers or take others.
    pub http: Http,
    /// The device key (`dk`).
    pub key: SoftwareKey,
    /// The passkey. Tests may change its flags.
    pub passkey: Passkey,
    kept: Mutex<Kept>,
    folder: Option<Folder>,
    issuer: Url,
}

/// What a person typed or pasted to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A live frame.
    Frame(Frame),
    /// A typed code, eight consonants.
    Code(String),
}

impl Phone {
    /// The phone kept in `folder`.
    pub fn load(folder: Folder, transport: Transport) -> Result<Phone, Fault> {
        let missing = || {
            Fault::Local(format!(
                "no enrolled device in `{}`: enrol it first, or name another place with `--state`",
                folder.path().display()
            ))
        };
        let kept: Kept = folder.read_json(STATE)?.ok_or_else(missing)?;
        let key = SoftwareKey::from_pkcs8(&folder.read(DEVICE_KEY)?.ok_or_else(missing)?)?;
        let secret = SoftwareKey::from_pkcs8(&folder.read(PASSKEY_KEY)?.ok_or_else(missing)?)?;
        let passkey = Passkey { about: kept.passkey.clone(), key: secret, flags: kept.passkey.flags() };
        Phone::new(kept, key, passkey, Http::new(transport), Some(folder))
    }

    fn new(kept: Kept, key: SoftwareKey, passkey: Passkey, http: Http, folder: Option<Folder>) -> Result<Phone, Fault> {
        let issuer = Url::parse(&kept.issuer)
            .map_err(|_| Fault::Local("the kept server address is damaged".into()))?;
        Ok(Phone { http, key, passkey, kept: Mutex::new(kept), folder, issuer })
    }

    /// Whether `folder` holds a phone already.
    pub fn is_kept_in(folder: &Folder) -> Result<bool, Fault> {
        Ok(folder.read(STATE)?.is_some())
    }

    /// What it remembers, as it stands now.
    pub fn kept(&self) -> Kept {
        self.lock().clone()
    }

    /// The server it is enrolled with, by its origin.
    pub fn issuer(&self) -> &Url {
        &self.issuer
    }

    /// Thumbprint of the device key.
    pub fn dk(&self) -> Thumbprint {
        self.key.public().thumbprint()
    }

    /// Reads what a person typed or pasted: the link of a live code on this server, its 35
    /// characters alone, or a typed code.
    pub fn read(&self, text: &str) -> Result<Read, Fault> {
        let text = text.trim();
        if let Ok(code) = parse_user_code(text) {
            return Ok(Read::Code(code));
        }
        let origin = self.issuer.origin().ascii_serialization();
        if let Ok(frame) = Frame::parse_link(text, &origin).or_else(|_| Frame::parse(text)) {
            return Ok(Read::Frame(frame));
        }
        Err(Fault::Usage(match Url::parse(text) {
            Ok(url) if url.origin().ascii_serialization() != origin => {
                format!("that link leads to another server than `{origin}`, where this phone is enrolled")
            }
            _ => "that is neither a code of eight letters nor the link of a live code".into(),
        }))
    }

    /// Scans what was read.
    pub async fn scan_read(&self, read: &Read) -> Result<Checked, Fault> {
        match read {
            Read::Frame(frame) => self.scan(&[*frame]).await,
            Read::Code(code) => self.scan_code(code).await,
        }
    }

    /// Scans one frame or two in sequence, oldest first.
    pub async fn scan(&self, frames: &[Frame]) -> Result<Checked, Fault> {
        let frames = frames.iter().map(Frame::text).collect();
        self.take_in(&Scan { frames, user_code: None }).await
    }

    /// Scans by a typed code.
    pub async fn scan_code(&self, code: &str) -> Result<Checked, Fault> {
        self.take_in(&Scan { frames: vec![], user_code: Some(code.to_owned()) }).await
    }

    async fn take_in(&self, scan: &Scan) -> Result<Checked, Fault> {
        let view: DeviceView = self.post("/device/scans", scan).await?;
        self.checked(view)
    }

    /// Takes a request that was offered to this person (push).
    pub async fn take(&self, cid: &CeremonyId) -> Result<Checked, Fault> {
        let view = self.post(&format!("/device/ceremonies/{cid}/take"), &serde_json::json!({})).await?;
        self.checked(view)
    }

    /// Requests offered to this person.
    pub async fn pending(&self) -> Result<Pending, Fault> {
        self.fetch("/device/pending").await
    }

    /// A live badge, for a registered terminal to read; what it opens is then among [`Phone::pending`].
    pub async fn badge(&self) -> Result<Live, Fault> {
        let made: BadgeMade = self.post("/device/badges", &serde_json::json!({})).await?;
        Live::new(&made.handle, &made.ck, made.t_ms)
    }

    /// How a ceremony that this phone scanned stands.
    pub async fn look(&self, cid: &CeremonyId) -> Result<DeviceView, Fault> {
        self.fetch(&format!("/device/ceremonies/{cid}")).await
    }

    /// As [`Phone::look`], with the statement checked again.
    pub async fn look_again(&self, cid: &CeremonyId) -> Result<Checked, Fault> {
        let view = self.look(cid).await?;
        self.checked(view)
    }

    /// Sends digits that this side was asked for.
    pub async fn confirm(&self, cid: &CeremonyId, digits: &str) -> Result<StateOnly, Fault> {
        self.post(&format!("/device/ceremonies/{cid}/confirm"), &Confirm { digits: digits.to_owned() }).await
    }

    /// Checks what the server wants this phone to show and sign. The first statement teaches the
    /// phone its subject; any later one must name the same.
    pub fn checked(&self, view: DeviceView) -> Result<Checked, Fault> {
        let kept = self.kept();
        let dk = self.dk();
        let mine = Mine {
            issuer: &kept.issuer,
            device: &kept.device_id,
            dk: &dk,
            sub: kept.sub.as_ref(),
            rp_id: &kept.passkey.rp_id,
        };
        let checked = check(view, &mine, crate::machine::tick())?;
        let (sub, cid) = (&checked.statement.sub, &checked.statement.cid);
        if kept.sub.as_ref() != Some(sub) || kept.last.as_ref() != Some(cid) {
            self.change(|kept| {
                kept.sub = Some(sub.clone());
                kept.last = Some(cid.clone());
            })?;
        }
        Ok(checked)
    }

    /// Reads `path` with the device's proof.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.http.ask(&Call::fetch(self.url(path)?).proved(Prover::device(&self.key))).await
    }

    /// Posts to `path` with the device's proof.
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Fault> {
        self.http.ask(&Call::post(self.url(path)?, body)?.proved(Prover::device(&self.key))).await
    }

    /// As [`Phone::post`], whatever the answer says.
    pub async fn tell<B: Serialize>(&self, path: &str, body: &B) -> Result<(), Fault> {
        let call = Call::post(self.url(path)?, body)?.proved(Prover::device(&self.key));
        self.http.call(&call).await.map(|_| ())
    }

    fn url(&self, path: &str) -> Result<Url, Fault> {
        self.issuer.join(path).map_err(|_| Fault::Usage(format!("`{path}` is no path")))
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is remembered, in the directory first. Another program may have changed it
    /// meanwhile, so the directory's account counts.
    fn change<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Result<T, Fault> {
        let mut kept = self.lock();
        let Some(folder) = &self.folder else { return Ok(work(&mut kept)) };
        folder.alone(|| {
            if let Some(there) = folder.read_json::<Kept>(STATE)? {
                *kept = there;
            }
            let mut next = kept.clone();
            let out = work(&mut next);
            folder.write_json(STATE, &next)?;
            *kept = next;
            Ok(out)
        })
    }

    /// The count that the next signature will carry, kept before it is used. Copies cannot count
    /// together, so synced passkeys have none.
    fn next_count(&self) -> Result<u32, Fault> {
        if self.lock().passkey.synced {
            return Ok(0);
        }
        self.change(|kept| {
            kept.passkey.counter = kept.passkey.counter.saturating_add(1);
            kept.passkey.counter
        })
    }
}

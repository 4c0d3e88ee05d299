//! A registered terminal on this machine: its key, in a file or in a TPM, and how often it has opened.

use crate::http::{Call, Prover};
use crate::keys::{Folder, Prove, TpmKey};
use crate::posture::tpm::Tpm;
use crate::{Fault, Http, SoftwareKey};
use countersign_wire::b64;
use countersign_wire::message::{RegisterTerminal, TerminalAsked, TerminalReport, TerminalTpm};
use countersign_wire::statement::Plate;
use serde::{Deserialize, Serialize};
use url::Url;

const STATE: &str = "terminal.json";
const KEY: &str = "terminal.key";
const COUNTER: &str = "terminal.counter";

/// What it keeps beside its key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The server.
    pub issuer: Url,
    /// Its id there.
    pub terminal: String,
    /// What it is known as.
    pub plate: Plate,
}

/// A registered terminal.
pub struct Registered {
    folder: Folder,
    kept: Kept,
    key: Box<dyn Prove>,
}

impl Registered {
    /// Joins by a link, `https://HOST/terminal#…`, with a key of `tpm` or in a file.
    pub async fn join(http: &Http, link: &str, folder: Folder, tpm: Option<Tpm>) -> Result<Registered, Fault> {
        let wrong = || Fault::Usage("that is no link of a terminal: it looks like `https://HOST/terminal#…`".into());
        let mut issuer = Url::parse(link.trim()).map_err(|_| wrong())?;
        let token = issuer.fragment().filter(|t| !t.is_empty()).ok_or_else(wrong)?.to_owned();
        if issuer.path() != "/terminal" || issuer.query().is_some() || !issuer.has_host() {
            return Err(wrong());
        }
        issuer.set_fragment(None);
        issuer.set_path("/");
        if folder.read(STATE)?.is_some() {
            return Err(Fault::Usage("a terminal is registered here already".into()));
        }
        let (key, shown): (Box<dyn Prove>, _) = match tpm {
            Some(tpm) => {
                let key = TpmKey::create(tpm, &folder)?;
                let shown = attest(http, &issuer, &token, &key).await?;
                (Box::new(key), Some(shown))
            }
            None => {
                let key = SoftwareKey::generate()?;
                folder.write(KEY, key.pkcs8().expose())?;
                (Box::new(key), None)
            }
        };
        let body = RegisterTerminal { token, tpm: shown };
        let url = join(&issuer, "terminals/register")?;
        let call = Call::post(url, &body)?.proved(Prover::device(&*key));
        let made: countersign_wire::message::Registered = http.ask(&call).await?;
        let kept = Kept { issuer, terminal: made.terminal, plate: made.plate };
        folder.write_json(STATE, &kept)?;
        Ok(Registered { folder, kept, key })
    }

    /// The terminal kept in `folder`.
    pub fn load(folder: Folder, tpm: Option<Tpm>) -> Result<Registered, Fault> {
        let none = || Fault::Local("no terminal is registered here: `countersign-device terminal LINK`".into());
        let kept = folder.read_json(STATE)?.ok_or_else(none)?;
        let key: Box<dyn Prove> = match folder.read(KEY)? {
            Some(bytes) => Box::new(SoftwareKey::from_pkcs8(&bytes)?),
            None => {
                let tpm = tpm.ok_or_else(|| Fault::Local("this terminal's key is in a TPM, and there is none here".into()))?;
                Box::new(TpmKey::load(tpm, &folder)?.ok_or_else(none)?)
            }
        };
        Ok(Registered { folder, kept, key })
    }

    /// What it is.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its key.
    pub fn key(&self) -> &dyn Prove {
        &*self.key
    }

    /// Tells the server whether somebody far away has this terminal in hand.
    pub async fn report(&self, http: &Http, remote_controlled: bool) -> Result<(), Fault> {
        let url = join(&self.kept.issuer, "terminals/report")?;
        let call = Call::post(url, &TerminalReport { remote_controlled })?.proved(Prover::device(self.key()));
        http.call(&call).await.map(|_| ())
    }

    /// Counts one more opening, before it is asked for: what gets lost is counted all the same.
    pub fn count(&self) -> Result<i64, Fault> {
        self.folder.alone(|| {
            let next = self.folder.read_json::<i64>(COUNTER)?.unwrap_or(0).saturating_add(1);
            self.folder.write_json(COUNTER, &next)?;
            Ok(next)
        })
    }
}

pub(super) fn join(issuer: &Url, path: &str) -> Result<Url, Fault> {
    issuer.join(path).map_err(|_| Fault::Usage("no address".into()))
}

/// Shows that a TPM keeps the key: it opens what the server sealed to both.
async fn attest(http: &Http, issuer: &Url, token: &str, key: &TpmKey) -> Result<TerminalTpm, Fault> {
    let desk = key.desk()?;
    let ek = desk.endorsement()?;
    let look = RegisterTerminal { token: token.to_owned(), tpm: None };
    let _: TerminalAsked = http.ask(&Call::post(join(issuer, "terminals/look")?, &look)?.proved(Prover::device(key))).await?;
    let nonce = http.nonce(issuer).ok_or_else(|| Fault::Unreachable("the server gave no nonce".into()))?;
    let mut shown = TerminalTpm { ek, public: b64::encode(key.area()), nonce, secret: None };
    let body = RegisterTerminal { token: token.to_owned(), tpm: Some(shown.clone()) };
    let call = Call::post(join(issuer, "terminals/look")?, &body)?.proved(Prover::device(key));
    let asked: TerminalAsked = http.ask(&call).await?;
    let sealed = asked.sealed.ok_or_else(|| Fault::Unreachable("the server sealed nothing".into()))?;
    shown.secret = Some(desk.open_sealed("key.ctx", &sealed)?);
    Ok(shown)
}

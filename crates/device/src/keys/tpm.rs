//! A key that a TPM keeps: what lies in the state directory is wrapped by that TPM, and no other can load it.

use super::{Folder, Prove};
use crate::Fault;
use crate::posture::tpm::{Desk, Tpm};
use countersign_wire::der::{Der, Tag};
use countersign_wire::jose::jws::SignFault;
use countersign_wire::jose::{Alg, Jwk, Signer};
use countersign_wire::tpm::Public;

/// TPM2B_PUBLIC and TPM2B_PRIVATE, as tpm2-tools write them.
const PUBLIC: &str = "tpm.pub";
const PRIVATE: &str = "tpm.priv";
/// Made here, never to leave, for signing alone.
const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

/// A P-256 key of a TPM.
pub struct TpmKey {
    tpm: Tpm,
    private: Vec<u8>,
    wrapped: Vec<u8>,
    public: Jwk,
}

impl TpmKey {
    /// A new key, kept wrapped in `folder`.
    pub fn create(tpm: Tpm, folder: &Folder) -> Result<TpmKey, Fault> {
        let desk = Desk::new(&tpm)?;
        desk.run("createprimary", &["-C", "o", "-G", "ecc", "-c", "primary.ctx"])?;
        desk.run("create", &["-C", "primary.ctx", "-G", "ecc256:ecdsa-sha256", "-a", ATTRIBUTES, "-u", PUBLIC, "-r", PRIVATE])?;
        folder.write(PUBLIC, &desk.read(PUBLIC)?)?;
        folder.write(PRIVATE, &desk.read(PRIVATE)?)?;
        drop(desk);
        TpmKey::load(tpm, folder)?.ok_or_else(|| Fault::Local("the TPM made no key".into()))
    }

    /// The key kept in `folder`, if a TPM's is.
    pub fn load(tpm: Tpm, folder: &Folder) -> Result<Option<TpmKey>, Fault> {
        let (Some(wrapped), Some(private)) = (folder.read(PUBLIC)?, folder.read(PRIVATE)?) else { return Ok(None) };
        let area = Public::parse(wrapped.get(2..).unwrap_or_default());
        let public = area.and_then(|p| p.key).ok_or_else(|| Fault::Local(format!("`{PUBLIC}` is damaged")))?;
        Ok(Some(TpmKey { tpm, private, wrapped, public }))
    }

    /// TPMT_PUBLIC.
    pub fn area(&self) -> &[u8] {
        self.wrapped.get(2..).unwrap_or_default()
    }

    /// A desk with the key loaded in `key.ctx`. Another TPM than its own refuses here.
    pub(crate) fn desk(&self) -> Result<Desk<'_>, Fault> {
        let desk = Desk::new(&self.tpm)?;
        desk.write(PUBLIC, &self.wrapped)?;
        desk.write(PRIVATE, &self.private)?;
        desk.run("createprimary", &["-C", "o", "-G", "ecc", "-c", "primary.ctx"])?;
        desk.run("load", &["-C", "primary.ctx", "-u", PUBLIC, "-r", PRIVATE, "-c", "key.ctx"])?;
        Ok(desk)
    }

    fn signed(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let desk = self.desk()?;
        desk.write("message", message)?;
        desk.run("sign", &["-c", "key.ctx", "-g", "sha256", "-s", "ecdsa", "-f", "plain", "-o", "signature", "message"])?;
        fixed(&desk.read("signature")?).ok_or_else(|| Fault::Local("the TPM signed something strange".into()))
    }
}

impl Signer for TpmKey {
    fn alg(&self) -> Alg {
        Alg::ES256
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignFault> {
        self.signed(message).map_err(|_| SignFault)
    }
}

impl Prove for TpmKey {
    fn public(&self) -> &Jwk {
        &self.public
    }
}

/// ECDSA-Sig-Value (RFC 3279 §2.2.3) as the 64 bytes of a JWS.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    let mut both = Der::inside(der, Tag::SEQUENCE).ok()?;
    let mut out = Vec::with_capacity(64);
    for _ in 0..2 {
        let digits: Vec<u8> = both.take(Tag::INTEGER).ok()?.iter().copied().skip_while(|b| *b == 0).collect();
        out.extend(vec![0; 32_usize.checked_sub(digits.len())?]);
        out.extend(digits);
    }
    Some(out)
}

//! A secret for a TPM (TPM 2.0 Library, Part 1 §24, TPM2_MakeCredential): sealed to its endorsement key
//! and to the name of an attestation key, so that only a TPM that holds both gives it back. The secret
//! follows from what was asked (`wire::evidence::tpm::secret`), so nothing is kept for it.

use super::{App, Context, Fault};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use countersign_store::sql::StoredDevice;
use countersign_trust::Refusal;
use countersign_wire::evidence::tpm::{self, Endorsed};
use countersign_wire::message::{TpmAsk, TpmSealed};
use countersign_wire::{Thumbprint, b64, dpop};

/// Seals a secret for the TPM that a device asks with.
pub fn seal(app: &App, ctx: &Context, by: &StoredDevice, sent: &TpmAsk) -> Result<TpmSealed, Fault> {
    let keys = app.keys.k_live();
    if !keys.iter().any(|k| dpop::is_live_nonce(k.expose(), &sent.nonce, ctx.now)) {
        return Err(Fault::because(Refusal::PostureOld, "a nonce that is over"));
    }
    let endorsed = tpm::endorsed(&sent.ek, &b64::decode(&sent.ak)?, &app.trusted.tpm, ctx.now)
        .map_err(|fault| Fault::because(Refusal::BadEvidence, fault.as_str()))?;
    sealed(app, &endorsed, &sent.nonce, &by.device.jkt)
}

/// Seals the secret that goes with this nonce and this key of a device or a terminal.
pub fn sealed(app: &App, endorsed: &Endorsed, nonce: &str, jkt: &Thumbprint) -> Result<TpmSealed, Fault> {
    let secret = tpm::secret(app.keys.k().1.expose(), endorsed, nonce, jkt);
    let (object, seed) = credential(endorsed, &secret, &app.random())
        .map_err(|_| Fault::because(Refusal::BadEvidence, "an endorsement key that nothing can be sealed to"))?;
    Ok(TpmSealed { object: b64::encode(&object), seed: b64::encode(&seed) })
}

/// TPMS_ID_OBJECT and the encrypted seed. The key's hash and symmetric cipher are those of the default
/// template L-1 (TCG EK Credential Profile §B.3.3): SHA-256 and AES-128-CFB.
fn credential(endorsed: &Endorsed, secret: &[u8], seed: &[u8; 32]) -> Result<(Vec<u8>, Vec<u8>), Unspecified> {
    let (n, e) = &endorsed.ek;
    let key: PublicEncryptingKey = PublicKeyComponents { n: n.as_slice(), e: e.as_slice() }.try_into()?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut sealed = vec![0; key.ciphertext_size()];
    let len = key.encrypt(&OAEP_SHA256_MGF1SHA256, seed, &mut sealed, Some(b"IDENTITY\0"))?.len();
    sealed.truncate(len);
    let mut identity = sized(secret);
    let storage = kdfa(seed, "STORAGE", &endorsed.ak_name, 128);
    cfb(storage.get(..16).ok_or(Unspecified)?, &mut identity)?;
    let outer = hmac::Key::new(hmac::HMAC_SHA256, &kdfa(seed, "INTEGRITY", &[], 256));
    let tag = hmac::sign(&outer, &[identity.as_slice(), &endorsed.ak_name].concat());
    Ok(([sized(tag.as_ref()), identity].concat(), sealed))
}

/// A TPM2B.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

/// KDFa (Part 1 §11.4.10.2) with SHA-256, one round: up to 256 bits.
fn kdfa(key: &[u8], label: &str, context: &[u8], bits: u32) -> [u8; 32] {
    let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [&1_u32.to_be_bytes(), label.as_bytes(), &[0], context, &bits.to_be_bytes()] {
        mac.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(mac.sign().as_ref());
    out
}

/// AES-128 in CFB mode from a zero vector: the key serves once.
fn cfb(key: &[u8], text: &mut [u8]) -> Result<(), Unspecified> {
    let cipher = EncryptingKey::ecb(UnboundCipherKey::new(&AES_128, key)?)?;
    let mut last = [0_u8; 16];
    for block in text.chunks_mut(16) {
        cipher.encrypt(&mut last)?;
        for (byte, pad) in block.iter_mut().zip(&last) {
            *byte ^= pad;
        }
        if let Some(kept) = last.get_mut(..block.len()) {
            kept.copy_from_slice(block);
        }
    }
    Ok(())
}

//! Sealing of private keys at rest: AES-256-GCM under a key that is never in the store.
//!
//! 1. The key is 32 bytes in base64url, from `COUNTERSIGN_SEAL_KEY` or from a file. A missing file is
//!    made at first start with SQLite, readable by its owner alone. Nodes that share a PostgreSQL must
//!    be given one key: a node that made its own could not open what the others sealed.
//! 2. Sealed bytes are `01 ‖ nonce(12) ‖ ciphertext ‖ tag(16)`. The id and the purpose of the key are
//!    authenticated with them, so that sealed keys cannot change places.
#![expect(clippy::disallowed_methods, reason = "a key may come from the environment; this is the one place that reads it")]

use crate::chance::{self, Chance};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use countersign_wire::{Secret, b64};
use std::fmt;
use std::io::Write as _;
use std::path::Path;
use zeroize::Zeroizing;

/// First byte of the present form.
const VERSION: u8 = 1;
/// Domain label of the authenticated data.
const LABEL: &str = "countersign/seal/1";
/// Length of the key, bytes.
const KEY_BYTES: usize = 32;

/// What seals and opens.
pub struct Seal(RandomizedNonceKey);

/// Why nothing can be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealFault {
    /// The key is not 32 bytes in base64url; says where it came from.
    Key(String),
    /// The file is missing and may not be made, or cannot be read or written.
    File(String),
    /// The bytes were sealed with another key, for something else, or were changed.
    Opened,
    /// The bytes are of a form this program does not know.
    Version,
}

impl fmt::Display for SealFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(from) => write!(f, "{from}: the seal key is 32 bytes in base64url"),
            Self::File(what) => write!(f, "the seal key file: {what}"),
            Self::Opened => f.write_str("a sealed key does not open: it was sealed with another seal key, or changed"),
            Self::Version => f.write_str("a sealed key was written by a newer program"),
        }
    }
}

impl std::error::Error for SealFault {}

impl Seal {
    /// Under these 32 bytes.
    pub fn new(key: &[u8; KEY_BYTES]) -> Seal {
        // 32 bytes are what AES-256 takes, so this cannot fail.
        Seal(RandomizedNonceKey::new(&AES_256_GCM, key).unwrap_or_else(|_| unreachable!()))
    }

    /// From `COUNTERSIGN_SEAL_KEY` if it is set, else from the file; see [`Seal::find`].
    pub fn load(file: &Path, may_make: bool, chance: &dyn Chance) -> Result<Seal, SealFault> {
        let variable = std::env::var("COUNTERSIGN_SEAL_KEY").ok().map(Zeroizing::new);
        Seal::find(variable.as_ref().map(|v| v.as_str()), file, may_make, chance)
    }

    /// From the variable's value if there is one, else from the file. With `may_make` a missing file
    /// is made; a node that shares its store must not make one.
    pub fn find(variable: Option<&str>, file: &Path, may_make: bool, chance: &dyn Chance) -> Result<Seal, SealFault> {
        if let Some(text) = variable {
            return Seal::parse(text).ok_or_else(|| SealFault::Key("`COUNTERSIGN_SEAL_KEY`".into()));
        }
        let failed = |e: std::io::Error| SealFault::File(format!("`{}`: {e}", file.display()));
        if may_make {
            match make(file, chance) {
                Ok(()) => tracing::info!(file = %file.display(), "seal key made; keep a copy apart from the backups"),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(e)),
            }
        }
        let missing = |e: &std::io::Error| !may_make && e.kind() == std::io::ErrorKind::NotFound;
        let text = Zeroizing::new(std::fs::read_to_string(file).map_err(|e| match missing(&e) {
            true => SealFault::File(format!("`{}` is missing, and none is made for a store that nodes share", file.display())),
            false => failed(e),
        })?);
        warn_if_open(file);
        Seal::parse(&text).ok_or_else(|| SealFault::Key(format!("`{}`", file.display())))
    }

    fn parse(text: &str) -> Option<Seal> {
        let bytes = Zeroizing::new(b64::decode(text.trim_end()).ok()?);
        let key: &[u8; KEY_BYTES] = bytes.as_slice().try_into().ok()?;
        Some(Seal::new(key))
    }

    /// Seals `plain` for the key of this id and purpose.
    pub fn seal(&self, id: &str, purpose: &str, plain: &Secret) -> Result<Vec<u8>, SealFault> {
        let mut body = plain.expose().to_vec();
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(bound(id, purpose)), &mut body)
            .map_err(|_| SealFault::Opened)?;
        let mut out = vec![VERSION];
        out.extend(nonce.as_ref());
        out.extend(&body);
        Ok(out)
    }

    /// Opens what [`Seal::seal`] made for the same id and purpose.
    pub fn open(&self, id: &str, purpose: &str, sealed: &[u8]) -> Result<Secret, SealFault> {
        let Some((&VERSION, rest)) = sealed.split_first() else { return Err(SealFault::Version) };
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealFault::Opened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealFault::Opened)?;
        let mut body = Zeroizing::new(body.to_vec());
        let plain =
            self.0.open_in_place(nonce, Aad::from(bound(id, purpose)), &mut body).map_err(|_| SealFault::Opened)?;
        Ok(Secret::new(plain.to_vec()))
    }
}

/// Authenticated data: id and purpose hold no zero byte, so the parts cannot run into each other.
fn bound(id: &str, purpose: &str) -> Vec<u8> {
    [LABEL.as_bytes(), id.as_bytes(), purpose.as_bytes()].join(&0)
}

/// Makes the file, for its owner alone, and only if there is none.
fn make(file: &Path, chance: &dyn Chance) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file)?;
    let key = Zeroizing::new(chance::bytes::<KEY_BYTES>(chance));
    let mut text = Zeroizing::new(b64::encode(key.as_slice()));
    text.push('\n');
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

fn warn_if_open(file: &Path) {
    #[cfg(unix)]
    if let Ok(meta) = std::fs::metadata(file)
        && std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0
    {
        tracing::warn!(file = %file.display(), "others on this machine may read the seal key: `chmod 600`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::System;

    fn plain() -> Secret {
        Secret::new(b"private".to_vec())
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_key_id_and_purpose_only() {
        let seal = Seal::new(&[7; 32]);
        let sealed = seal.seal("a", "sign", &plain()).unwrap();
        assert_eq!(seal.open("a", "sign", &sealed).unwrap().expose(), b"private");
        assert_eq!(seal.open("b", "sign", &sealed).err(), Some(SealFault::Opened));
        assert_eq!(seal.open("a", "K", &sealed).err(), Some(SealFault::Opened));
        assert_eq!(Seal::new(&[8; 32]).open("a", "sign", &sealed).err(), Some(SealFault::Opened));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let seal = Seal::new(&[7; 32]);
        let sealed = seal.seal("a", "sign", &plain()).unwrap();
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(seal.open("a", "sign", &other).is_err(), "byte {at}");
            assert!(seal.open("a", "sign", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_key_is_never_sealed_to_the_same_bytes() {
        let seal = Seal::new(&[7; 32]);
        assert_ne!(seal.seal("a", "sign", &plain()).unwrap(), seal.seal("a", "sign", &plain()).unwrap());
    }

    #[test]
    fn a_file_is_made_once_for_its_owner_and_only_where_it_may() {
        let chance = System::default();
        let dir = std::env::temp_dir().join(format!("countersign-seal-{}", b64::encode(&chance::bytes::<9>(&chance))));
        std::fs::create_dir(&dir).unwrap();
        let file = dir.join("seal");
        assert!(matches!(Seal::find(None, &file, false, &chance), Err(SealFault::File(_))));
        let first = Seal::find(None, &file, true, &chance).unwrap();
        let sealed = first.seal("a", "K", &plain()).unwrap();
        let again = Seal::find(None, &file, true, &chance).unwrap();
        assert!(again.open("a", "K", &sealed).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, "short").unwrap();
        assert!(matches!(Seal::find(None, &file, true, &chance), Err(SealFault::Key(_))));
        assert!(matches!(Seal::find(Some("short"), &file, true, &chance), Err(SealFault::Key(_))));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

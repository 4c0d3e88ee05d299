//! Whose word about a device's health is taken: `[evidence]`.

use super::ConfigFault;
use countersign_wire::evidence::Trusted;
use countersign_wire::x509::Roots;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Roots and expectations. Without them no evidence of that kind counts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// PEM file with the roots of TPM vendors.
    #[serde(default)]
    pub tpm_roots: Option<PathBuf>,
    /// Values of TPM register 7 (SHA-256, hex) of machines that started with secure boot as wanted.
    #[serde(default)]
    pub secure_boot: Vec<String>,
    /// PEM file with the roots of Android's key attestation.
    #[serde(default)]
    pub android_roots: Option<PathBuf>,
    /// Android applications whose word is taken: `PACKAGE:HEX`, with the SHA-256 of the certificate
    /// that signs it.
    #[serde(default)]
    pub android_applications: Vec<String>,
}

impl Evidence {
    /// Reads what it names.
    pub fn load(&self) -> Result<Trusted, ConfigFault> {
        Ok(Trusted {
            tpm: roots("tpm_roots", self.tpm_roots.as_deref())?,
            secure_boot: self.secure_boot.iter().map(|t| digest("secure_boot", t)).collect::<Result<_, _>>()?,
            android: roots("android_roots", self.android_roots.as_deref())?,
            applications: self.android_applications.iter().map(|t| application(t)).collect::<Result<_, _>>()?,
        })
    }
}

fn roots(name: &str, path: Option<&Path>) -> Result<Roots, ConfigFault> {
    let Some(path) = path else { return Ok(Roots::default()) };
    let wrong = |why: String| ConfigFault(format!("evidence.{name}: `{}`: {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    Roots::from_pem(&text).map_err(|m| wrong(m.to_string()))
}

fn application(text: &str) -> Result<(String, [u8; 32]), ConfigFault> {
    let (package, signer) = text
        .split_once(':')
        .ok_or_else(|| ConfigFault(format!("evidence.android_applications: `{text}` is not PACKAGE:HEX")))?;
    Ok((package.to_owned(), digest("android_applications", signer)?))
}

fn digest(name: &str, text: &str) -> Result<[u8; 32], ConfigFault> {
    let wrong = || ConfigFault(format!("evidence.{name}: `{text}` is not 64 hexadecimal digits"));
    let mut out = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or_else(wrong)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_never_passes_for_nothing_expected() {
        let of = |text: &str| toml::from_str::<Evidence>(text).map_err(|e| ConfigFault(e.to_string())).and_then(|e| e.load());
        let digest = "0a".repeat(32);
        let good = of(&format!("secure_boot = [\"{digest}\"]\nandroid_applications = [\"com.example:{digest}\"]")).unwrap();
        assert_eq!((good.secure_boot, good.applications.len()), (vec![[10; 32]], 1));
        for bad in [
            "secure_bot = []".to_owned(),
            "secure_boot = [\"0a\"]".to_owned(),
            format!("secure_boot = [\"+{}\"]", &digest[1..]),
            format!("android_applications = [\"{digest}\"]"),
            "tpm_roots = \"/nowhere.pem\"".to_owned(),
        ] {
            assert!(of(&bad).is_err(), "{bad}");
        }
    }
}

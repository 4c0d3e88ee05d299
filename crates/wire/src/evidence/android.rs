//! Android key attestation: an application makes a key for the report, and the phone's hardware
//! certifies it together with how the phone started.

use super::{Asked, EvidenceFault, Kind, Shown, binding, chain, leads_to};
use crate::android::{Boot, DESCRIPTION, Description, RootOfTrust};
use crate::posture::Name;
use crate::x509::Certificate;
use serde::{Deserialize, Serialize};

/// The certificates of a key that was made for this report; in base64url.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AndroidKey {
    /// The key's own first.
    pub chain: Vec<String>,
}

pub(super) fn judge(key: &AndroidKey, asked: &Asked<'_>) -> Result<Shown, EvidenceFault> {
    if asked.trusted.android.is_empty() {
        return Err(EvidenceFault::Untrusted);
    }
    let ders = chain(&key.chain)?;
    let leaf = Certificate::parse(ders.first().ok_or(EvidenceFault::Malformed)?)?;
    let found = leaf.extension(DESCRIPTION).ok_or(EvidenceFault::Malformed)?;
    let described = Description::parse(found.value)?;
    leads_to(&ders, &asked.trusted.android, asked.now)?;
    if described.challenge != binding(asked.nonce, asked.device) {
        return Err(EvidenceFault::Unbound);
    }
    if !described.is_of_hardware() {
        return Err(EvidenceFault::Key);
    }
    let asked_by = described.software.applications()?;
    let taken = |(package, signer): &(String, [u8; 32])| {
        asked_by.packages.contains(&package.as_bytes()) && asked_by.signers.contains(&signer.as_slice())
    };
    if !asked.trusted.applications.iter().any(taken) {
        return Err(EvidenceFault::Application);
    }
    Ok(Shown { kind: Kind::AndroidKey, facts: facts(&described).ok_or(EvidenceFault::Malformed)? })
}

/// What the hardware says of the phone. A system that its owner signed is no secure boot as its
/// maker means it, and no sign of a removed protection either.
fn facts(described: &Description<'_>) -> Option<Vec<(Name, String)>> {
    let RootOfTrust { locked, boot } = described.hardware.root_of_trust?;
    let mut facts = vec![(Name::Os, "android".to_owned())];
    if let Some(version) = described.hardware.os_version {
        let patch = described.hardware.os_patch_level.unwrap_or(0);
        let version = format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100);
        facts.push((Name::OsVersion, format!("{version} {:04}-{:02}", patch / 100, patch % 100)));
    }
    let sound = locked && boot == Boot::Verified;
    facts.push((Name::SecureBoot, if sound { "yes" } else { "no" }.to_owned()));
    if sound || !locked || matches!(boot, Boot::Unverified | Boot::Failed) {
        facts.push((Name::Rooted, if sound { "no" } else { "yes" }.to_owned()));
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locked_phone_with_its_makers_system_is_sound() {
        let told = |locked: bool, boot: Boot| {
            let facts = facts(&Description::of(RootOfTrust { locked, boot })).unwrap();
            let of = |name: Name| facts.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
            (of(Name::SecureBoot).unwrap(), of(Name::Rooted).unwrap_or_default())
        };
        let is = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(told(true, Boot::Verified), is("yes", "no"));
        assert_eq!(told(true, Boot::SelfSigned), is("no", ""));
        for (locked, boot) in [(false, Boot::Verified), (false, Boot::SelfSigned), (true, Boot::Unverified), (true, Boot::Failed)] {
            assert_eq!(told(locked, boot), is("no", "yes"), "{locked} {boot:?}");
        }
    }
}

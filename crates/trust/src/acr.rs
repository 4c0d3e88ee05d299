//! What a sign-in earned, and nothing more (docs/protocol.md §8; NIST SP 800-63B-4).

use countersign_wire::statement::Channel;
use serde::{Deserialize, Serialize};

/// The authentication context class that was earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Earned {
    /// A hardware-attested, device-bound passkey used on the terminal: `phrh`.
    PasskeyHardware,
    /// A passkey used on the terminal, or by the platform's hybrid transport: `phr`.
    Passkey,
    /// Approved on an enrolled device with key and passkey after a scan or typed code.
    CrossDevice,
    /// The same after a push whose digits were transferred.
    CrossDevicePush,
    /// The same after a push of which nothing was transferred: worth no class at all.
    Offered,
    /// By a device that a recovery let in, while its rights are reduced: AAL1, whatever was signed,
    /// because who holds it rests on a code or on two people's word (NIST SP 800-63B-4 §4.2).
    Recovery,
    /// By a person's seat on a phone that a shift shares: others hold its key as well, and may open its lock, so it is no
    /// possession of this person's and no factor that only they have.
    Shared,
    /// Somebody else vouched: nothing that the person has or knows was shown, so no assurance level of NIST SP 800-63B-4.
    Vouched,
}

impl Earned {
    /// What a ceremony over `channel` earns. It is never phishing-resistant (NIST 800-63B-4 §3.2.5).
    /// `transferred` says whether digits were carried over and matched.
    pub fn by_ceremony(channel: Channel, transferred: bool) -> Earned {
        match channel {
            Channel::Frame | Channel::Pair | Channel::UserCode | Channel::Badge => Earned::CrossDevice,
            Channel::Push if transferred => Earned::CrossDevicePush,
            Channel::Push => Earned::Offered,
        }
    }
    /// The same with a device that a recovery let in: never more than that recovery.
    pub fn recovering(self, recovering: bool) -> Earned {
        if recovering { Earned::Recovery } else { self }
    }
    /// The same with a device that others hold as well.
    pub fn shared(self, shared: bool) -> Earned {
        if shared { Earned::Shared } else { self }
    }
    /// The `acr` claim.
    pub fn acr(self) -> &'static str {
        match self {
            Earned::PasskeyHardware => "phrh",
            Earned::Passkey => "phr",
            Earned::CrossDevice => "urn:countersign:acr:xd2",
            Earned::CrossDevicePush => "urn:countersign:acr:xd2-push",
            Earned::Offered => "0",
            Earned::Recovery => "urn:countersign:acr:recovery",
            Earned::Shared => "urn:countersign:acr:shared",
            Earned::Vouched => "urn:countersign:acr:vouched",
        }
    }
    /// The `amr` claim (RFC 8176); `hwk` only where hardware attested the key.
    pub fn amr(self, attested: bool) -> Vec<&'static str> {
        let key = if attested { "hwk" } else { "swk" };
        match self {
            Earned::PasskeyHardware | Earned::Passkey => vec![key, "user", "mfa"],
            Earned::CrossDevice | Earned::CrossDevicePush => vec!["mca", "mfa", "user", key],
            Earned::Recovery => vec!["user", key],
            // Neither `swk` nor `mfa`: what the person alone has was not shown.
            Earned::Shared => vec!["user"],
            // RFC 8176 has no word for it, and all of its words are about what the person did.
            Earned::Vouched => vec!["urn:countersign:amr:vouched"],
            // OpenID Connect Core §2: level 0 says that nothing is claimed.
            Earned::Offered => Vec::new(),
        }
    }
    /// Whether it satisfies one of the classes asked for; an empty list asks for nothing.
    pub fn satisfies(self, asked: &[String]) -> bool {
        asked.is_empty() || asked.iter().any(|a| self.covers(a))
    }
    fn covers(self, asked: &str) -> bool {
        match self {
            Earned::PasskeyHardware => matches!(asked, "phrh" | "phr" | "urn:countersign:acr:xd2"),
            Earned::Passkey => matches!(asked, "phr" | "urn:countersign:acr:xd2"),
            Earned::CrossDevice | Earned::CrossDevicePush | Earned::Recovery | Earned::Shared | Earned::Vouched => asked == self.acr(),
            Earned::Offered => false,
        }
    }
    /// Classes that can be asked for.
    pub const SUPPORTED: [&'static str; 7] = [
        "phrh",
        "phr",
        "urn:countersign:acr:xd2",
        "urn:countersign:acr:xd2-push",
        "urn:countersign:acr:recovery",
        "urn:countersign:acr:shared",
        "urn:countersign:acr:vouched",
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceremony_never_earns_a_phishing_resistant_class() {
        for channel in [Channel::Frame, Channel::Pair, Channel::UserCode, Channel::Push] {
            for transferred in [true, false] {
                let e = Earned::by_ceremony(channel, transferred);
                assert!(!e.satisfies(&["phr".into()]) && !e.satisfies(&["phrh".into()]));
                assert!(!e.amr(false).contains(&"hwk"));
            }
        }
        let bare = Earned::by_ceremony(Channel::Push, false);
        assert_eq!((bare.acr(), bare.amr(true).len()), ("0", 0));
        assert!(!Earned::SUPPORTED.iter().any(|class| bare.satisfies(&[(*class).into()])) && !bare.satisfies(&["0".into()]));
        let vouched = Earned::Vouched;
        assert!(Earned::SUPPORTED.iter().all(|class| vouched.satisfies(&[(*class).into()]) == (*class == vouched.acr())));
        assert!(["mfa", "mca", "user", "swk", "hwk"].iter().all(|word| !vouched.amr(true).contains(word)));
        let shared = Earned::CrossDevice.shared(true);
        assert!(Earned::SUPPORTED.iter().all(|class| shared.satisfies(&[(*class).into()]) == (*class == shared.acr())));
        assert_eq!((shared.amr(true), Earned::CrossDevice.shared(false)), (vec!["user"], Earned::CrossDevice));
        let back = Earned::Passkey.recovering(true);
        assert!(!back.satisfies(&["phr".into()]) && !back.satisfies(&["urn:countersign:acr:xd2".into()]));
        assert!(!back.amr(true).contains(&"mfa"));
        assert_eq!(Earned::Passkey.recovering(false), Earned::Passkey);
        assert!(!Earned::Passkey.satisfies(&["phrh".into()]));
        assert!(Earned::Passkey.satisfies(&["phr".into()]));
        assert!(!Earned::CrossDevicePush.satisfies(&["urn:countersign:acr:xd2".into()]));
    }
}

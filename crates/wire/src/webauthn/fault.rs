//! Why a registration or an assertion was not taken.

/// Every reason there is. The code is interface; the sentence may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not of the form.
    Malformed,
    /// `type` is not that of this ceremony.
    Type,
    /// Another challenge.
    Challenge,
    /// Another origin, or inside another site's page.
    Origin,
    /// Another relying party.
    RpId,
    /// Nobody was present, or nobody was verified.
    User,
    /// Backup flags changed or contradict each other.
    Backup,
    /// A signature is not of its key.
    Signature,
    /// The counter went backwards: perhaps a copy of the authenticator.
    Counter,
    /// Another credential id, or a longer one than there may be.
    CredentialId,
    /// A key of a kind that we do not speak, or one that cannot exist.
    Key,
    /// An algorithm that was not asked for, or that does not suit its key.
    Algorithm,
    /// A format of attestation that we do not speak.
    Format,
    /// The statement lacks what its format asks for, or contradicts the credential.
    Statement,
    /// The attestation certificate is not as its format asks.
    Certificate,
    /// The certificate speaks of another model of authenticator.
    Aaguid,
    /// The certificates lead to none of the roots.
    Untrusted,
    /// A certificate is not valid at this time.
    Expired,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 18] = [
        Fault::Malformed,
        Fault::Type,
        Fault::Challenge,
        Fault::Origin,
        Fault::RpId,
        Fault::User,
        Fault::Backup,
        Fault::Signature,
        Fault::Counter,
        Fault::CredentialId,
        Fault::Key,
        Fault::Algorithm,
        Fault::Format,
        Fault::Statement,
        Fault::Certificate,
        Fault::Aaguid,
        Fault::Untrusted,
        Fault::Expired,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Fault::Malformed => "malformed",
            Fault::Type => "type",
            Fault::Challenge => "challenge",
            Fault::Origin => "origin",
            Fault::RpId => "rp_id",
            Fault::User => "user",
            Fault::Backup => "backup",
            Fault::Signature => "signature",
            Fault::Counter => "counter",
            Fault::CredentialId => "credential_id",
            Fault::Key => "key",
            Fault::Algorithm => "algorithm",
            Fault::Format => "format",
            Fault::Statement => "statement",
            Fault::Certificate => "certificate",
            Fault::Aaguid => "aaguid",
            Fault::Untrusted => "untrusted",
            Fault::Expired => "expired",
        }
    }

    /// A sentence for whoever integrates.
    pub const fn say(self) -> &'static str {
        match self {
            Fault::Malformed => "the client data, the authenticator data or the attestation object cannot be read",
            Fault::Type => "the client data is of another ceremony",
            Fault::Challenge => "the client data answers another challenge",
            Fault::Origin => "the page was of another origin, or stood inside another site's page",
            Fault::RpId => "the authenticator answered for another relying party",
            Fault::User => "nobody was present, or nobody was verified although that was asked",
            Fault::Backup => "the backup flags changed, or contradict each other",
            Fault::Signature => "the signature is not of this key over these bytes",
            Fault::Counter => "the counter did not go up",
            Fault::CredentialId => "the credential id is another, or longer than 1023 bytes",
            Fault::Key => "the credential's public key is of a kind that is not spoken here, or no key at all",
            Fault::Algorithm => "the algorithm was not asked for, or does not suit its key",
            Fault::Format => "this format of attestation is not spoken here",
            Fault::Statement => "the attestation statement lacks what its format asks for, or contradicts the credential",
            Fault::Certificate => "the attestation certificate is not as its format asks",
            Fault::Aaguid => "the attestation certificate is of another model of authenticator",
            Fault::Untrusted => "the attestation certificates lead to none of the given roots",
            Fault::Expired => "an attestation certificate is not valid at this time",
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code(), self.say())
    }
}

impl std::error::Error for Fault {}

impl From<crate::Malformed> for Fault {
    fn from(_: crate::Malformed) -> Fault {
        Fault::Malformed
    }
}

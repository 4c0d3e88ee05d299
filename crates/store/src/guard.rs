//! What must still hold when the store writes.

use crate::StoreError;

/// A condition the engine checks again inside the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// This row still has this version; a row that is gone has none.
    Version {
        /// Where the row is.
        table: Table,
        /// Its id.
        id: String,
        /// The version the decision was made on.
        version: i64,
    },
    /// The store's clock is before this, microseconds; otherwise [`StoreError::Late`].
    Before(i64),
    /// The store's clock is at or after this, microseconds; otherwise [`StoreError::Conflict`].
    NotBefore(i64),
}

impl Guard {
    /// Whether it holds now. `kept` is the version of its row, where it names one.
    pub(crate) fn holds(&self, kept: Option<i64>, now: i64) -> Result<(), StoreError> {
        match self {
            Self::Version { version, .. } if kept == Some(*version) => Ok(()),
            Self::Before(end) if now < *end => Ok(()),
            Self::NotBefore(start) if now >= *start => Ok(()),
            Self::Before(_) => Err(StoreError::Late),
            Self::Version { .. } | Self::NotBefore(_) => Err(StoreError::Conflict),
        }
    }
}

macro_rules! tables {
    ($($(#[doc = $doc:literal])* $(#[cfg($when:meta)])? $variant:ident = $name:literal,)*) => {
        /// The tables whose rows have `id TEXT` and `version BIGINT`, so that a decision can rest on them.
        /// The order is the order in which every transaction locks them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table { $($(#[doc = $doc])* $(#[cfg($when)])? $variant,)* }

        impl Table {
            /// All of them.
            pub const ALL: &'static [Table] = &[$($(#[cfg($when)])? Table::$variant,)*];

            /// Its name in SQL.
            pub const fn name(self) -> &'static str {
                match self { $($(#[cfg($when)])? Table::$variant => $name,)* }
            }

            /// The table of this name.
            pub fn named(name: &str) -> Option<Table> {
                match name { $($(#[cfg($when)])? $name => Some(Table::$variant),)* _ => None }
            }

            pub(crate) const fn version_sql(self) -> &'static str {
                match self { $($(#[cfg($when)])? Table::$variant => concat!("SELECT version FROM ", $name, " WHERE id = $1"),)* }
            }

            pub(crate) const fn version_shared_sql(self) -> &'static str {
                match self { $($(#[cfg($when)])? Table::$variant => concat!("SELECT version FROM ", $name, " WHERE id = $1 FOR SHARE"),)* }
            }

            pub(crate) const fn version_changing_sql(self) -> &'static str {
                match self { $($(#[cfg($when)])? Table::$variant => concat!("SELECT version FROM ", $name, " WHERE id = $1 FOR NO KEY UPDATE"),)* }
            }
        }
    };
}

tables! {
    /// Humans.
    Person = "person",
    /// Enrolled devices.
    Device = "device",
    /// Passkeys.
    Credential = "credential",
    /// Applications.
    Client = "client",
    /// Registered screens.
    Terminal = "terminal",
    /// Programs that act for themselves.
    Workload = "workload",
    /// Authorization requests.
    Request = "request",
    /// Cross-device attempts.
    Ceremony = "ceremony",
    /// Countersign's own sessions.
    Session = "session",
    /// Authorization codes.
    Code = "code",
    /// What clients were given.
    Grant = "oauth_grant",
    /// One-time enrolment links.
    Invitation = "invitation",
    /// The server's keys.
    Key = "key",
    /// Log-outs owed to relying parties.
    Logout = "logout",
    /// What a person was told and may undo.
    Notice = "notice",
    /// Streams of security events to receivers.
    Stream = "stream",
    /// Codes on paper that let a person back in.
    RecoveryCodes = "recovery_codes",
    /// Ways back through two others.
    Recovery = "recovery",
    /// Grants of rights without the line.
    Glass = "glass",
    /// What was opened with them.
    GlassUse = "glass_use",
    /// A table the conformance suite makes for itself.
    #[cfg(feature = "testing")]
    Trial = "trial",
}

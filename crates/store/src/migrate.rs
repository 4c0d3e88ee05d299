//! Numbered schema files. A published file never changes: its digest is kept in the database and compared at every start.

use aws_lc_rs::digest;

use crate::OpenError;
use crate::statement::numbered_places;

/// One schema file.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Its number and name.
    pub id: &'static str,
    /// Its text, for both engines.
    pub sql: &'static str,
}

/// All schema files in order. Add to the end; never change one that was released.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        id: "0001_start",
        sql: include_str!("../migrations/0001_start.sql"),
    },
    Migration {
        id: "0002_nouns",
        sql: include_str!("../migrations/0002_nouns.sql"),
    },
    Migration {
        id: "0003_indexes",
        sql: include_str!("../migrations/0003_indexes.sql"),
    },
    Migration {
        id: "0004_lean",
        sql: include_str!("../migrations/0004_lean.sql"),
    },
    Migration {
        id: "0005_grants",
        sql: include_str!("../migrations/0005_grants.sql"),
    },
    Migration {
        id: "0006_push_places",
        sql: include_str!("../migrations/0006_push_places.sql"),
    },
    Migration {
        id: "0007_trust",
        sql: include_str!("../migrations/0007_trust.sql"),
    },
    Migration {
        id: "0008_streams",
        sql: include_str!("../migrations/0008_streams.sql"),
    },
    Migration {
        id: "0009_recovery",
        sql: include_str!("../migrations/0009_recovery.sql"),
    },
    Migration {
        id: "0010_workloads",
        sql: include_str!("../migrations/0010_workloads.sql"),
    },
    Migration {
        id: "0011_silence",
        sql: include_str!("../migrations/0011_silence.sql"),
    },
    Migration {
        id: "0012_stopped",
        sql: include_str!("../migrations/0012_stopped.sql"),
    },
    Migration {
        id: "0013_managed",
        sql: include_str!("../migrations/0013_managed.sql"),
    },
    Migration {
        id: "0014_networks",
        sql: include_str!("../migrations/0014_networks.sql"),
    },
    Migration {
        id: "0015_terminals",
        sql: include_str!("../migrations/0015_terminals.sql"),
    },
    Migration {
        id: "0016_subscriptions",
        sql: include_str!("../migrations/0016_subscriptions.sql"),
    },
    Migration {
        id: "0017_user_codes",
        sql: include_str!("../migrations/0017_user_codes.sql"),
    },
    Migration {
        id: "0018_glass",
        sql: include_str!("../migrations/0018_glass.sql"),
    },
    Migration {
        id: "0019_seats",
        sql: include_str!("../migrations/0019_seats.sql"),
    },
];

pub(crate) const MIGRATION_TABLE: &str = "CREATE TABLE IF NOT EXISTS migration (\
    id TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL, applied_at BIGINT NOT NULL) /* STRICT */;";
pub(crate) const APPLIED: &str = "SELECT id, sha256 FROM migration ORDER BY id";
pub(crate) const RECORD: &str =
    "INSERT INTO migration (id, sha256, applied_at) VALUES ($1, $2, $3)";

/// A file the database says it has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Applied {
    pub(crate) id: String,
    pub(crate) sha256: String,
}

/// What is still to be applied to a database that says it has these.
pub(crate) fn missing(applied: &[Applied]) -> Result<&'static [Migration], OpenError> {
    missing_of(MIGRATIONS, applied)
}

fn missing_of<'m>(
    known: &'m [Migration],
    applied: &[Applied],
) -> Result<&'m [Migration], OpenError> {
    for (i, old) in applied.iter().enumerate() {
        match known.get(i) {
            Some(ours) if ours.id != old.id => {
                return Err(OpenError::Newer {
                    migration: old.id.clone(),
                });
            }
            Some(ours) if digest(ours.sql) != old.sha256 => {
                return Err(OpenError::Changed {
                    migration: old.id.clone(),
                });
            }
            Some(_) => {}
            None => {
                return Err(OpenError::Newer {
                    migration: old.id.clone(),
                });
            }
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

/// SHA-256 of a file, lower-case hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The same text in SQLite's words.
pub(crate) fn sqlite_text(sql: &str) -> String {
    sql.replace("BYTEA", "BLOB")
        .replace("BIGINT", "INTEGER")
        .replace("/* STRICT */", "STRICT")
        .replace("/* STRICT, WITHOUT ROWID */", "STRICT, WITHOUT ROWID")
}

pub(crate) fn sqlite_places(sql: &str) -> String {
    numbered_places(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Migration] = &[
        Migration {
            id: "0001_a",
            sql: "a",
        },
        Migration {
            id: "0002_b",
            sql: "b",
        },
    ];

    fn have(id: &str, sql: &str) -> Applied {
        Applied {
            id: id.to_owned(),
            sha256: digest(sql),
        }
    }

    #[test]
    fn only_what_is_missing_is_applied() {
        assert_eq!(missing_of(TWO, &[]).unwrap().len(), 2);
        assert_eq!(
            missing_of(TWO, &[have("0001_a", "a")]).unwrap()[0].id,
            "0002_b"
        );
        assert!(
            missing_of(TWO, &[have("0001_a", "a"), have("0002_b", "b")])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_published_file_that_changed_is_refused() {
        assert_eq!(
            missing_of(TWO, &[have("0001_a", "another text")]).unwrap_err(),
            OpenError::Changed {
                migration: "0001_a".into()
            }
        );
    }

    #[test]
    fn a_database_of_a_newer_program_is_refused() {
        let newer = [
            have("0001_a", "a"),
            have("0002_b", "b"),
            have("0003_c", "c"),
        ];
        assert_eq!(
            missing_of(TWO, &newer).unwrap_err(),
            OpenError::Newer {
                migration: "0003_c".into()
            }
        );
        assert_eq!(
            missing_of(TWO, &[have("0001_z", "z")]).unwrap_err(),
            OpenError::Newer {
                migration: "0001_z".into()
            }
        );
    }

    #[test]
    fn files_are_numbered_without_gaps_and_every_table_is_strict() {
        for (i, migration) in MIGRATIONS.iter().enumerate() {
            assert!(
                migration.id.starts_with(&format!("{:04}_", i + 1)),
                "{}",
                migration.id
            );
            assert_eq!(
                migration.sql.matches("CREATE TABLE").count(),
                migration.sql.matches(") /* STRICT").count(),
                "{}: a table without the STRICT mark",
                migration.id
            );
        }
    }
}

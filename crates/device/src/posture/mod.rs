//! What this machine can say about its own health.
//!
//! Collectors only read, and where they read is an argument: tests give them a made-up tree. What a
//! collector cannot tell is `unknown`, never `yes`.
//!
//! - *measured*: read where the kernel or the firmware says it.
//! - *claimed*: a file, a setting or a program says it, and whoever runs as that user can change it.
//!
//! Whoever owns the machine can make the kernel lie. Only evidence signed by hardware says more.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod storage;
pub mod tpm;
pub mod watch;

use countersign_wire::posture::{Confidence, Name, SOURCE_BYTES, Said, VALUE_BYTES};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All facts of one look.
pub type Facts = BTreeMap<Name, Said>;

/// Where to look, and for what.
#[derive(Clone, Debug)]
pub struct Looking {
    /// The root of the tree that is read: `/`.
    pub root: PathBuf,
    /// Processes or systemd units (`NAME.service`) that are this machine's security agent. All of
    /// them must run.
    pub agents: Vec<String>,
    /// Asks a program of the desktop; `None` where it is not there.
    pub ask: fn(&[&str]) -> Option<String>,
    /// The TPM that can show how the machine started.
    pub tpm: Option<tpm::Tpm>,
}

impl Looking {
    /// At this machine.
    pub fn here(agents: Vec<String>, tpm: Option<tpm::Tpm>) -> Looking {
        Looking { root: PathBuf::from("/"), agents, ask, tpm }
    }

    /// Looks. Every fact that is a device's to say is there, `unknown` where nothing was found out.
    pub fn facts(&self) -> Facts {
        let mut facts: Facts = Name::ALL.iter().filter(|n| n.is_own()).map(|n| (*n, unknown())).collect();
        facts.insert(Name::Program, said(env!("CARGO_PKG_VERSION"), "program", Confidence::Claimed));
        facts.insert(Name::Os, said(std::env::consts::OS, "program", Confidence::Measured));
        // Other systems say what they are, and nothing more: nothing else was built or tested there.
        #[cfg(target_os = "linux")]
        linux::look(self, &mut facts);
        facts
    }
}

/// Nothing was found out.
fn unknown() -> Said {
    said("unknown", "nobody", Confidence::Claimed)
}

/// A fact, cut to what a report may carry.
fn said(value: &str, source: &str, confidence: Confidence) -> Said {
    let plain = |text: &str, most: usize| -> String {
        let kept: String = text.trim().chars().filter(|c| matches!(c, ' '..='~')).take(most).collect();
        if kept.is_empty() { "unknown".to_owned() } else { kept }
    };
    Said { value: plain(value, VALUE_BYTES), source: plain(source, SOURCE_BYTES), confidence }
}

fn answer(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Runs a program for its one line.
fn ask(words: &[&str]) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let out = std::process::Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

//! `countersign init`: a folder to begin with, for one of the places that rules are shipped for.

use super::Ended;
use countersign_trust::policy::{PROFILES, SHIPPED};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Shared tills, managed phones, rights for minutes.
    Shop,
    /// Terminals without keyboards, nothing from outside the hall.
    Workshop,
    /// Borrowed screens: short sessions and nothing privileged.
    Contractor,
    /// Privileged consoles: healthy managed devices, nobody alone.
    Operations,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Shop => "shop",
            Profile::Workshop => "workshop",
            Profile::Contractor => "contractor",
            Profile::Operations => "operations",
        }
    }
}

/// Runs it. Nothing that is there is written over.
pub fn run(profile: Profile, folder: &Path, template: &str, as_json: bool) -> Result<(), Ended> {
    let shipped = PROFILES.iter().find(|p| p.name == profile.name()).ok_or_else(|| Ended::usage("no such profile"))?;
    let rules = folder.join("policies");
    let tests = rules.join("tests");
    std::fs::create_dir_all(&tests).map_err(|e| unwritten(&tests, &e))?;
    let setting = format!("policies = \"{}\"", rules.display());
    let configuration = template.replace("# policies = \"ceremony.cedar\"", &setting);
    let mut made = vec![put(&folder.join("countersign.toml"), &configuration)?];
    for (name, text) in SHIPPED {
        made.push(put(&rules.join(name).with_extension("cedar"), text)?);
    }
    made.push(put(&rules.join(shipped.name).with_extension("cedar"), shipped.rules)?);
    let cases = put(&tests.join(shipped.name).with_extension("json"), shipped.cases)?;
    made.push(cases.clone());
    if as_json {
        println!("{}", json!({ "made": made }));
        return Ok(());
    }
    for file in &made {
        println!("made {}", file.display());
    }
    println!("try the rules: countersign policy test --policies {} {}", rules.display(), cases.display());
    println!("then set `issuer` in the configuration, and start: countersign --config {} serve", folder.join("countersign.toml").display());
    Ok(())
}

fn unwritten(path: &Path, e: &std::io::Error) -> Ended {
    Ended::store(format!("`{}`: {e}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<PathBuf, Ended> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut f| f.write_all(text.as_bytes())).map_err(|e| unwritten(path, &e))?;
    Ok(path.to_owned())
}

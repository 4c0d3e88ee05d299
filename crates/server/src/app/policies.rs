//! The rules in force. A file or folder of rules is read again when it changes; a set with any fault never
//! takes effect, and the one before stays.

use super::{App, Fault};
use countersign_store::{Commit, Write};
use countersign_trust::audit::Kind;
use countersign_trust::policy::{PolicyFault, PolicySet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// Ending of rule files in a folder.
const ENDING: &str = "cedar";

/// The rules in force, and where they come from.
pub struct Policies {
    source: Option<PathBuf>,
    current: RwLock<Arc<PolicySet>>,
    /// What the files looked like when they were last read, good or not.
    seen: RwLock<Vec<Mark>>,
}

/// How a file looked.
type Mark = (PathBuf, Option<SystemTime>, u64);

impl Policies {
    /// The operator's rules, or the shipped ones. A bad set stops the start.
    pub fn load(source: Option<&Path>) -> Result<Policies, PolicyFault> {
        let seen = source.map(marks).transpose()?.unwrap_or_default();
        let set = match source {
            None => PolicySet::shipped()?,
            Some(path) => PolicySet::compile(&text(path)?)?,
        };
        Ok(Policies { source: source.map(Path::to_owned), current: RwLock::new(Arc::new(set)), seen: RwLock::new(seen) })
    }

    /// The set in force.
    pub fn current(&self) -> Arc<PolicySet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The set that the files hold now, if they changed since they were last read.
    fn news(&self) -> Result<Option<PolicySet>, PolicyFault> {
        let Some(path) = &self.source else { return Ok(None) };
        let now = marks(path)?;
        if *self.seen.read().unwrap_or_else(PoisonError::into_inner) == now {
            return Ok(None);
        }
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = now;
        let set = PolicySet::compile(&text(path)?)?;
        Ok((set.version() != self.current().version()).then_some(set))
    }
}

fn unread(path: &Path, e: &std::io::Error) -> PolicyFault {
    PolicyFault(format!("cannot read `{}`: {e}", path.display()))
}

/// The rule files of a path, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, PolicyFault> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| unread(path, &e))? {
        let file = entry.map_err(|e| unread(path, &e))?.path();
        if file.extension().is_some_and(|e| e == ENDING) {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(PolicyFault(format!("no `.{ENDING}` file in `{}`", path.display())));
    }
    Ok(found)
}

fn marks(path: &Path) -> Result<Vec<Mark>, PolicyFault> {
    let mark = |file: PathBuf| {
        let about = std::fs::metadata(&file).map_err(|e| unread(&file, &e))?;
        Ok((file, about.modified().ok(), about.len()))
    };
    files(path)?.into_iter().map(mark).collect()
}

/// The text of all rule files of a path.
pub fn text(path: &Path) -> Result<String, PolicyFault> {
    let mut all = String::new();
    for file in files(path)? {
        all.push_str(&std::fs::read_to_string(&file).map_err(|e| unread(&file, &e))?);
        all.push('\n');
    }
    Ok(all)
}

/// Puts a changed set in force and has everything judged again.
pub async fn reload(app: &App) -> Result<(), String> {
    let set = match app.policies.news() {
        Ok(None) => return Ok(()),
        Ok(Some(set)) => set,
        Err(fault) => return Err(format!("the former policies stay in force: {fault}")),
    };
    let version = set.version().to_owned();
    *app.policies.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    record(app, &version).await.map_err(|f| f.refusal.code().to_owned())
}

/// Where the store has another version than the one in force: says so, and has everything judged again.
pub async fn record(app: &App, version: &str) -> Result<(), Fault> {
    if app.store.meta(VERSION).await?.as_deref() == Some(version) {
        return Ok(());
    }
    let now = app.now();
    let txn = app.txn(now);
    let mut commit = Commit::new(app.event(Kind::PolicyChanged, &txn, now).fact("version", version));
    commit.write(Write::meta(VERSION, version)).write(Write::to_judge(None, &txn, now));
    app.commit(commit).await?;
    Ok(())
}

/// Under which the store knows the version in force.
const VERSION: &str = "policy_version";

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "@id(\"a\") permit (principal is Person, action, resource);";

    #[test]
    fn a_folder_is_read_whole_and_a_bad_file_leaves_the_former_set() {
        let dir = std::env::temp_dir().join(format!("countersign-policies-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert!(Policies::load(Some(&dir)).is_err(), "an empty folder is a mistake, not an empty set");
        std::fs::write(dir.join("a.cedar"), ALL).unwrap();
        let policies = Policies::load(Some(&dir)).unwrap();
        let first = policies.current().version().to_owned();
        assert!(policies.news().unwrap().is_none(), "nothing changed");
        std::fs::write(dir.join("b.cedar"), "forbid (principal, action, resource").unwrap();
        assert!(policies.news().is_err());
        assert!(policies.news().unwrap().is_none(), "said once");
        assert_eq!(policies.current().version(), first);
        std::fs::write(dir.join("b.cedar"), "@id(\"b\") forbid (principal, action, resource);").unwrap();
        assert_ne!(policies.news().unwrap().unwrap().version(), first);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

//! The operator's access policies: read from a folder, compiled whole, and exchanged only for another set
//! that compiles. A folder that was spoilt changes nothing but a line in the log.

use super::App;
use countersign_store::Commit;
use countersign_trust::audit::Kind;
use countersign_trust::policy::PolicyFault;
use countersign_trust::policy::access::{AccessSet, Sources};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Files of one kind in the folder, at most.
const FILES: usize = 1_000;
/// All files together, bytes.
const BYTES: usize = 64 * 1024 * 1024;

/// The set in force.
pub struct Access {
    folder: Option<PathBuf>,
    now: RwLock<(Arc<AccessSet>, Sources)>,
}

impl Access {
    /// Reads the folder, if there is one. A bad set stops the start.
    pub fn load(folder: Option<&Path>) -> Result<Access, PolicyFault> {
        let sources = folder.map(read).transpose()?.unwrap_or_default();
        let set = AccessSet::compile(&sources)?;
        Ok(Access { folder: folder.map(Path::to_owned), now: RwLock::new((Arc::new(set), sources)) })
    }

    /// The set in force.
    pub fn set(&self) -> Arc<AccessSet> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Reads the folder again; whether another set is in force now. A fault leaves the old one.
    pub fn renew(&self) -> Result<bool, PolicyFault> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let sources = read(folder)?;
        if self.now.read().unwrap_or_else(PoisonError::into_inner).1 == sources {
            return Ok(false);
        }
        let set = AccessSet::compile(&sources)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(set), sources);
        Ok(true)
    }
}

/// Reads the folder again and records a change. A fault is for the operator to read.
pub async fn renew(app: Arc<App>) -> Result<(), String> {
    let reader = app.clone();
    let read = tokio::task::spawn_blocking(move || reader.access.renew()).await.map_err(|e| e.to_string())?;
    if read.map_err(|e| e.to_string())? {
        let (now, set) = (app.now(), app.access.set());
        let event = app.event(Kind::AccessChanged, &app.txn(now), now).fact("policies", set.rules()).fact("entities", set.entities());
        app.commit(Commit::new(event)).await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Everything in the folder that is a schema, a policy or a list of entities, in the order of names.
fn read(folder: &Path) -> Result<Sources, PolicyFault> {
    let fault = |path: &Path, e: &dyn std::fmt::Display| PolicyFault(format!("`{}`: {e}", path.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| fault(folder, &e))? {
        paths.push(entry.map_err(|e| fault(folder, &e))?.path());
    }
    paths.sort();
    if paths.len() > FILES {
        return Err(fault(folder, &"too many files"));
    }
    let (mut sources, mut bytes) = (Sources::default(), 0);
    for path in paths {
        let into = match path.extension().and_then(|e| e.to_str()) {
            Some("cedarschema") => &mut sources.schemas,
            Some("cedar") => &mut sources.policies,
            Some("json") => &mut sources.entities,
            _ => continue,
        };
        let text = std::fs::read_to_string(&path).map_err(|e| fault(&path, &e))?;
        bytes += text.len();
        if bytes > BYTES {
            return Err(fault(folder, &"too large"));
        }
        into.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
    }
    Ok(sources)
}

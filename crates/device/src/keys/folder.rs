//! The state directory: mode 0700, its files 0600, each replaced whole or not at all.

use crate::Fault;
use countersign_wire::b64;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Nothing kept here comes near this many bytes; more is somebody else's file.
const FILE_BYTES: u64 = 256 * 1024;

/// A directory that belongs to one device.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens `path`, making it with mode 0700 if need be. A directory that others may enter is
    /// refused: its keys could be copied.
    pub fn open(path: &Path) -> Result<Folder, Fault> {
        if !path.exists() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| local(path, "cannot make the directory", &e))?;
        }
        let folder = Folder { path: path.to_owned() };
        private(path, 0o700)?;
        Ok(folder)
    }

    /// Where it is when nobody says otherwise: `$XDG_DATA_HOME/countersign-device`, else
    /// `~/.local/share/countersign-device`.
    pub fn usual() -> Result<PathBuf, Fault> {
        let set = |name: &str| crate::machine::variable(name).map(PathBuf::from);
        set("XDG_DATA_HOME")
            .filter(|p| p.is_absolute())
            .or_else(|| set("HOME").map(|home| home.join(".local/share")))
            .map(|base| base.join("countersign-device"))
            .ok_or_else(|| Fault::Local("no home directory: say where with `--state`".into()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of file `name`; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.path.join(name);
        match fs::metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(local(&path, "cannot look at the file", &e)),
            Ok(meta) if meta.len() > FILE_BYTES => {
                return Err(Fault::Local(format!("`{}` is too long to be ours", path.display())));
            }
            Ok(_) => private(&path, 0o600)?,
        }
        fs::read(&path).map(Some).map_err(|e| local(&path, "cannot read the file", &e))
    }

    /// The structure in file `name`; `None` if there is none.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Fault> {
        let Some(bytes) = self.read(name)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            Fault::Local(format!("`{}` is damaged: {e}", self.path.join(name).display()))
        })
    }

    /// Replaces file `name` whole: written beside it, synced, renamed, directory synced.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path.join(name);
        let beside = self.path.join(format!(".{name}.{}", b64::encode(&crate::machine::bytes::<6>()?)));
        let put = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.path)?.sync_all()
        };
        put().map_err(|e| {
            let _ = fs::remove_file(&beside);
            local(&path, "cannot write the file", &e)
        })
    }

    /// Replaces file `name` by a structure.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Fault> {
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| Fault::Local(format!("cannot encode `{name}`: {e}")))?;
        self.write(name, &bytes)
    }

    /// Runs `work` while no other program of this directory does, for read-then-write.
    pub fn alone<T>(&self, work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| local(&path, "cannot open the lock", &e))?;
        file.lock().map_err(|e| local(&path, "cannot take the lock", &e))?;
        work()
    }
}

fn private(path: &Path, want: u32) -> Result<(), Fault> {
    let meta = fs::metadata(path).map_err(|e| local(path, "cannot look at it", &e))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Fault::Local(format!(
            "others may reach `{}` (mode {mode:04o}): run `chmod {want:o}` on it",
            path.display()
        )));
    }
    Ok(())
}

fn local(path: &Path, what: &str, error: &io::Error) -> Fault {
    Fault::Local(format!("{what} `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_replaced_whole() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(folder.read("x").unwrap(), None);
        folder.write("x", b"one").unwrap();
        folder.write("x", b"two").unwrap();
        assert_eq!(folder.read("x").unwrap().unwrap(), b"two");
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("x"))), (0o700, 0o600));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_file_or_directory_that_others_may_read_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("s");
        let folder = Folder::open(&path).unwrap();
        folder.write("device.key", b"k").unwrap();
        fs::set_permissions(path.join("device.key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(folder.read("device.key").unwrap_err().exit_code(), 4);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Folder::open(&path).is_err());
    }
}

//! The backup file: written once from front to back, read twice: for its digest, then for its rows.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use countersign_wire::b64;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::Manifest;
use crate::migrate::{Applied, hex};
use crate::{OpenError, Value, limits};

#[derive(Serialize, Deserialize)]
struct Header {
    countersign_backup: u32,
    at: i64,
    migrations: Vec<Applied>,
}

#[derive(Serialize, Deserialize)]
struct Table {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Trailer {
    rows: u64,
    sha256: String,
}

const FORMAT: u32 = 1;
/// Every trailer starts like this, and no other line does.
const TRAILER: &[u8] = b"{\"rows\":";

/// A backup being written, under another name until it is whole.
pub(crate) struct Sink {
    target: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    digest: Context,
    at: i64,
    rows: u64,
    whole: bool,
}

impl Sink {
    pub(crate) fn create(
        target: PathBuf,
        at: i64,
        migrations: Vec<Applied>,
    ) -> Result<Self, OpenError> {
        if target.exists() {
            return Err(OpenError::Unreachable(format!(
                "`{}` exists already",
                target.display()
            )));
        }
        let mut partial = target.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&partial)
            .map_err(|error| named(&partial, &error))?;
        let mut sink = Self {
            target,
            partial,
            out: BufWriter::new(file),
            digest: Context::new(&SHA256),
            at,
            rows: 0,
            whole: false,
        };
        sink.line(&Header {
            countersign_backup: FORMAT,
            at,
            migrations,
        })?;
        Ok(sink)
    }

    pub(crate) fn table(&mut self, name: &str, columns: Vec<String>) -> Result<(), OpenError> {
        self.line(&Table {
            table: name.to_owned(),
            columns,
        })
    }

    pub(crate) fn row(&mut self, values: impl IntoIterator<Item = Value>) -> Result<(), OpenError> {
        let row: Vec<Json> = values
            .into_iter()
            .map(|value| match value {
                Value::Text(text) => Json::String(text),
                Value::Int(int) => int.into(),
                Value::Bytes(bytes) => Json::Array(vec![b64::encode(&bytes).into()]),
                Value::Null => Json::Null,
            })
            .collect();
        self.rows += 1;
        self.line(&row)
    }

    /// Writes the trailer, waits for the disk and gives the file its name.
    pub(crate) fn finish(mut self) -> Result<Manifest, OpenError> {
        let sha256 = hex(self.digest.clone().finish().as_ref());
        let failed = |error: std::io::Error| OpenError::Unreachable(error.to_string());
        self.line(&Trailer {
            rows: self.rows,
            sha256: sha256.clone(),
        })?;
        self.out.flush().map_err(failed)?;
        self.out.get_ref().sync_all().map_err(failed)?;
        std::fs::rename(&self.partial, &self.target).map_err(failed)?;
        sync_directory(&self.target);
        self.whole = true;
        Ok(Manifest {
            at: self.at,
            rows: self.rows,
            sha256,
        })
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), OpenError> {
        let mut text =
            serde_json::to_vec(line).map_err(|error| OpenError::Unreachable(error.to_string()))?;
        text.push(b'\n');
        self.digest.update(&text);
        self.out
            .write_all(&text)
            .map_err(|error| named(&self.partial, &error))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}

/// One line of a backup between header and trailer.
pub(crate) enum Line {
    Table(String, Vec<String>),
    Row(Vec<Value>),
}

/// A backup whose digest was found right.
pub(crate) struct Lines {
    input: BufReader<File>,
    pub(crate) migrations: Vec<Applied>,
    manifest: Manifest,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path).map_err(|error| named(path, &error))?;
        let mut input = BufReader::new(file);
        let header: Header = match next(&mut input)? {
            Some(line) => {
                serde_json::from_slice(&line).map_err(|_| damaged("this is no backup"))?
            }
            None => return Err(damaged("the file is empty")),
        };
        if header.countersign_backup != FORMAT {
            return Err(damaged("it was made by a newer program"));
        }
        input
            .seek(SeekFrom::Start(0))
            .map_err(|error| named(path, &error))?;
        let mut digest = Context::new(&SHA256);
        let trailer = loop {
            let line = next(&mut input)?.ok_or_else(|| damaged("it is cut off"))?;
            if line.starts_with(TRAILER) {
                break line;
            }
            digest.update(&line);
        };
        let trailer: Trailer = serde_json::from_slice(&trailer)
            .map_err(|_| damaged("its last line cannot be read"))?;
        if hex(digest.finish().as_ref()) != trailer.sha256 {
            return Err(damaged("its content does not match its digest"));
        }
        if next(&mut input)?.is_some() {
            return Err(damaged("something follows its last line"));
        }
        input
            .seek(SeekFrom::Start(0))
            .map_err(|error| named(path, &error))?;
        next(&mut input)?;
        let manifest = Manifest {
            at: header.at,
            rows: trailer.rows,
            sha256: trailer.sha256,
        };
        Ok(Self {
            input,
            migrations: header.migrations,
            manifest,
        })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The next line, or nothing at the trailer.
    pub(crate) fn read(&mut self) -> Result<Option<Line>, OpenError> {
        let unreadable = || damaged("a line cannot be read");
        let line = next(&mut self.input)?.ok_or_else(unreadable)?;
        if line.starts_with(TRAILER) {
            return Ok(None);
        }
        if line.starts_with(b"{") {
            let table: Table = serde_json::from_slice(&line).map_err(|_| unreadable())?;
            return Ok(Some(Line::Table(table.table, table.columns)));
        }
        let row: Vec<Json> = serde_json::from_slice(&line).map_err(|_| unreadable())?;
        let values = row.into_iter().map(|value| match value {
            Json::String(text) => Ok(Value::Text(text)),
            Json::Number(number) => number.as_i64().map(Value::Int).ok_or_else(unreadable),
            Json::Null => Ok(Value::Null),
            Json::Array(bytes) => match bytes.as_slice() {
                [Json::String(text)] => b64::decode(text)
                    .map(Value::Bytes)
                    .map_err(|_| unreadable()),
                _ => Err(unreadable()),
            },
            Json::Bool(_) | Json::Object(_) => Err(unreadable()),
        });
        values
            .collect::<Result<_, _>>()
            .map(|values| Some(Line::Row(values)))
    }
}

fn next(input: &mut BufReader<File>) -> Result<Option<Vec<u8>>, OpenError> {
    let mut line = Vec::new();
    let most = u64::try_from(limits::BACKUP_LINE_MAX_BYTES).unwrap_or(u64::MAX);
    input
        .by_ref()
        .take(most)
        .read_until(b'\n', &mut line)
        .map_err(|error| OpenError::Unreachable(error.to_string()))?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) => Err(damaged("it is cut off")),
    }
}

/// A new name is durable when its directory is.
pub(crate) fn sync_directory(path: &Path) {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let _ = File::open(directory).and_then(|directory| directory.sync_all());
}

fn damaged(what: &str) -> OpenError {
    OpenError::Damaged(what.to_owned())
}

fn named(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::Unreachable(format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("countersign-backup-{}", std::process::id()));
        let row = || -> Vec<Value> {
            vec![
                i64::MIN.into(),
                i64::MAX.into(),
                vec![0, 255, 10].into(),
                Vec::new().into(),
                "[]\n".into(),
                Value::Null,
            ]
        };
        let mut sink = Sink::create(path.clone(), 7, Vec::new()).unwrap();
        sink.table("t", vec!["c".to_owned()]).unwrap();
        sink.row(row()).unwrap();
        let manifest = sink.finish().unwrap();
        let mut lines = Lines::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lines.manifest(), &manifest);
        assert!(matches!(lines.read().unwrap(), Some(Line::Table(table, _)) if table == "t"));
        assert!(matches!(lines.read().unwrap(), Some(Line::Row(read)) if read == row()));
        assert!(lines.read().unwrap().is_none());
    }
}

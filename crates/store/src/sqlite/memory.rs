//! Rows kept in memory between two questions, each exactly as fresh as the file.
//!
//! 1. The header of the log's index (the file `-shm`) changes with every commit of every process, and counts them
//!    (<https://sqlite.org/walformat.html>, §2.1). The memory knows the header that this process's last commit left.
//! 2. A kept row is given only while the header in the file is still that one: nobody else has written, and what this process
//!    wrote, its writer has told the memory. Otherwise the file answers.
//! 3. The writer looks at the header before it writes, when nobody else can: if another process has written, everything is forgotten.
//!    After its commit every row that it touched is forgotten, or replaced by what it became.
//! 4. What was read before a commit is not kept after it: a ticket of that time is worth nothing.
//!
//! So nothing is ever given that a question to the file at the same moment would not have answered; a guard loses no race by it that it
//! would have won.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::statement::{Becomes, Kept, Noun, first_table};
use crate::{Statement, Table, limits};

/// The first copy of the header, and the second, which is written before it.
type Header = [u8; 96];

/// Where the header counts commits: 32 bits in the machine's own order.
const COUNT: std::ops::Range<usize> = 8..12;

pub(super) struct Memory {
    index: Option<&'static File>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What this process's last commit left; `None` while the rows below are worth nothing.
    header: Option<Header>,
    commits: u64,
    rows: HashMap<Table, HashMap<String, Vec<Form>>>,
    /// Ids of rows that were found by something else.
    ids: HashMap<(Table, &'static str), HashMap<String, String>>,
    /// Rows since everything was last forgotten.
    count: usize,
}

/// One way to find and read a row, and what was read.
struct Form {
    by: &'static str,
    name: String,
    noun: Noun,
}

/// Allows to keep what is read from the file now.
pub(super) struct Ticket(u64);

/// What a statement did to what is kept.
pub(super) enum Moved {
    /// One row.
    Row(Table, String),
    /// One row, and this is what it is now.
    Became(Becomes),
    /// Rows of this table.
    Any(Table),
}

impl Moved {
    /// What a statement that touched rows did; `None` where nothing that is kept can have changed.
    pub(super) fn by(statement: &mut Statement) -> Option<Moved> {
        if let Some(becomes) = statement.becomes.take() {
            return Some(Moved::Became(becomes));
        }
        if let Some((table, id)) = statement.target() {
            return Some(Moved::Row(table, id.to_owned()));
        }
        // A person's name stands in a table of its own, and is read along with the person.
        let table = match first_table(statement.sql) {
            "name" => Some(Table::Person),
            name => Table::named(name),
        };
        let new = statement.sql.starts_with("INSERT") && !statement.sql.contains("ON CONFLICT");
        table.filter(|_| !new).map(Moved::Any)
    }
}

impl Memory {
    /// For the store in this file, which a connection has opened already.
    pub(super) fn of(store: &Path) -> Memory {
        // SQLite puts it beside the file itself, whatever led there.
        let mut path = store.canonicalize().unwrap_or_else(|_| store.to_owned()).into_os_string();
        path.push("-shm");
        // Never closed: to close any descriptor of this file would let go of every lock that this process holds on it (POSIX), and
        // SQLite's connections hold theirs there.
        let index = File::open(path).ok().map(|file| &*Box::leak(Box::new(file)));
        Memory { index, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(unix)]
    pub(super) fn header(&self) -> Option<Header> {
        let mut header = [0; 96];
        std::os::unix::fs::FileExt::read_exact_at(self.index?, &mut header, 0).ok()?;
        Some(header)
    }

    #[cfg(not(unix))]
    pub(super) fn header(&self) -> Option<Header> {
        self.index?;
        None
    }

    /// The row of this name, if it is kept and nothing has moved it; otherwise leave to keep what the file answers.
    pub(super) fn find(&self, kept: Kept, name: &str) -> Result<Noun, Option<Ticket>> {
        let header = self.header();
        let state = self.state();
        if header.is_none() || header != state.header {
            return Err(None);
        }
        state.form(kept, name).ok_or(Some(Ticket(state.commits)))
    }

    /// Keeps what the file answered, unless there was a commit since the ticket.
    pub(super) fn keep(&self, ticket: Option<Ticket>, kept: Kept, name: &str, id: &str, noun: Noun) {
        let mut state = self.state();
        if ticket.is_some_and(|Ticket(commits)| commits == state.commits) {
            state.put(kept.table, id, kept.by, name, noun);
        }
    }

    /// The writer holds the file: whatever others wrote, they have written. Answers the header for [`Memory::committed`].
    pub(super) fn begin(&self) -> Option<Header> {
        let header = self.header();
        let mut state = self.state();
        if state.header != header {
            state.forget();
        }
        header
    }

    /// The writer's commit is kept. If the header counts one commit more than before, it was that one.
    pub(super) fn committed(&self, before: Option<Header>, moved: Vec<Moved>) {
        let after = self.header();
        let mut state = self.state();
        state.commits += 1;
        if !follows(before.as_ref(), after.as_ref()) {
            state.forget();
            return;
        }
        for moved in moved {
            match moved {
                Moved::Row(table, id) => state.drop_row(table, &id),
                Moved::Any(table) => {
                    state.rows.remove(&table);
                }
                Moved::Became(Becomes { table, id, names, noun }) => {
                    state.drop_row(table, &id);
                    for (by, name) in names {
                        state.put(table, &id, by, &name, Arc::clone(&noun));
                    }
                }
            }
        }
        state.header = after;
    }

    /// The writer does not know what became of its commit.
    pub(super) fn lost(&self) {
        self.state().forget();
    }
}

fn follows(before: Option<&Header>, after: Option<&Header>) -> bool {
    let count = |header: Option<&Header>| header?.get(COUNT)?.try_into().ok().map(u32::from_ne_bytes);
    match (count(before), count(after)) {
        (Some(before), Some(after)) => after == before.wrapping_add(1),
        _ => false,
    }
}

impl State {
    fn form(&self, kept: Kept, name: &str) -> Option<Noun> {
        let id = match self.ids.get(&(kept.table, kept.by)) {
            Some(ids) => ids.get(name)?.as_str(),
            None => name,
        };
        let forms = self.rows.get(&kept.table)?.get(id)?;
        let form = forms.iter().find(|form| form.by == kept.by && form.name == name)?;
        Some(Arc::clone(&form.noun))
    }

    fn put(&mut self, table: Table, id: &str, by: &'static str, name: &str, noun: Noun) {
        if self.count >= limits::KEPT_ROWS {
            let header = self.header;
            self.forget();
            self.header = header;
        }
        self.count += 1;
        if name != id {
            self.ids.entry((table, by)).or_default().insert(name.to_owned(), id.to_owned());
        }
        let forms = self.rows.entry(table).or_default().entry(id.to_owned()).or_default();
        forms.retain(|form| form.by != by);
        forms.push(Form { by, name: name.to_owned(), noun });
    }

    fn drop_row(&mut self, table: Table, id: &str) {
        if let Some(rows) = self.rows.get_mut(&table) {
            rows.remove(id);
        }
    }

    /// Everything, and what was asked before.
    fn forget(&mut self) {
        *self = State { commits: self.commits + 1, ..State::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a header that counts so many commits.
    fn counted(path: &Path, commits: u32) {
        let mut header = [7_u8; 96];
        header[COUNT].copy_from_slice(&commits.to_ne_bytes());
        std::fs::write(path, header).unwrap();
    }

    #[test]
    fn what_another_process_wrote_between_a_commit_and_the_look_at_the_header_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (store, index) = (dir.path().join("s.db"), dir.path().join("s.db-shm"));
        std::fs::write(&store, "").unwrap();
        counted(&index, 5);
        let memory = Memory::of(&store);
        let kept = Kept { table: Table::Client, by: "id" };
        for (after, remembered) in [(6, true), (8, false), (9, true), (9, false)] {
            let before = memory.begin();
            counted(&index, after);
            let names = vec![("id", "till".to_owned())];
            let became = Becomes { table: Table::Client, id: "till".to_owned(), names, noun: Arc::new(1) };
            memory.committed(before, vec![Moved::Became(became)]);
            assert_eq!(memory.find(kept, "till").is_ok(), remembered, "{after}");
        }
    }

    #[test]
    fn what_was_asked_before_a_commit_is_not_kept_after_it_and_there_is_an_end_to_what_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (store, index) = (dir.path().join("s.db"), dir.path().join("s.db-shm"));
        std::fs::write(&store, "").unwrap();
        let memory = Memory::of(&store);
        assert!(memory.header().is_none(), "no file, no memory");
        counted(&index, 1);
        let memory = Memory::of(&store);
        let kept = Kept { table: Table::Client, by: "id" };
        let commit = |n| {
            let before = memory.begin();
            counted(&index, n);
            memory.committed(before, Vec::new());
        };
        commit(2);
        let Err(early) = memory.find(kept, "till") else { panic!("nothing was kept") };
        commit(3);
        memory.keep(early, kept, "till", "till", Arc::new(1));
        assert!(memory.find(kept, "till").is_err());
        for n in 0..limits::KEPT_ROWS + 10 {
            let name = n.to_string();
            let Err(ticket) = memory.find(kept, &name) else { panic!("{name} is new") };
            memory.keep(ticket, kept, &name, &name, Arc::new(n));
            assert!(memory.find(kept, &name).is_ok());
        }
        assert!(memory.state().rows[&Table::Client].len() <= limits::KEPT_ROWS);
    }
}

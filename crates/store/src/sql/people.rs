use super::{Store, Write, json, opt_json};
use crate::{Query, Row, Statement, StoreError, Table};
use countersign_trust::principal::{Person, PersonState, Role};
use countersign_trust::signal::Signal;
use countersign_wire::{PersonId, Time};

/// A person with the name that only pages of that person and operators may see.
#[derive(Clone, Debug)]
pub struct Named {
    /// The person.
    pub person: Person,
    /// Name.
    pub name: String,
    /// Login name.
    pub login: String,
}

macro_rules! named_query {
    ($where:literal) => {
        concat!(
            "SELECT p.id, p.version, p.state, p.role, p.signals, n.name, n.login FROM person p JOIN name n ON n.person = p.id ",
            $where
        )
    };
}

fn person(row: &Row) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.parsed(0)?,
        version: row.int(1)?,
        state: PersonState::parse(row.text(2)?).ok_or_else(|| row.corrupt(2))?,
        role: Role::parse(row.text(3)?).ok_or_else(|| row.corrupt(3))?,
        signals: opt_json(row, 4)?.unwrap_or_default(),
    })
}

fn named(row: &Row) -> Result<Named, StoreError> {
    Ok(Named {
        person: person(row)?,
        name: row.text(5)?.to_owned(),
        login: row.text(6)?.to_owned(),
    })
}

impl Store {
    /// A person without the name.
    pub async fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        let q = Query::new(
            "SELECT id, version, state, role, signals FROM person WHERE id = $1",
            [id.as_str().into()],
        )
        .kept(Table::Person, "id");
        self.one(q, person).await
    }
    /// A person with the name.
    pub async fn named(&self, id: &PersonId) -> Result<Option<Named>, StoreError> {
        let q = Query::new(named_query!("WHERE p.id = $1"), [id.as_str().into()]).kept(Table::Person, "named");
        self.one(q, named).await
    }
    /// The person of a login name.
    pub async fn person_by_login(&self, login: &str) -> Result<Option<Named>, StoreError> {
        let q = Query::new(named_query!("WHERE n.login = $1"), [login.into()]);
        self.one(q, named).await
    }
    /// What is kept of the word that clients must bring who ask for this person by name, if one was set.
    pub async fn user_code(&self, id: &PersonId) -> Result<Option<String>, StoreError> {
        let q = Query::new("SELECT user_code FROM person WHERE id = $1", [id.as_str().into()]);
        Ok(self.one(q, |row| Ok(row.opt_text(0)?.map(str::to_owned))).await?.flatten())
    }
    /// Everybody, by login name.
    pub async fn people(&self, after: &str, limit: i64) -> Result<Vec<Named>, StoreError> {
        let q = Query::new(
            named_query!("WHERE n.login > $1 ORDER BY n.login LIMIT $2"),
            [after.into(), limit.into()],
        )
        .long();
        self.many(q, named).await
    }
    /// Whether there is any administrator who can act.
    pub async fn has_administrator(&self) -> Result<bool, StoreError> {
        let q = Query::new(
            "SELECT id FROM person WHERE role = 'administrator' AND state = 'active' LIMIT 1",
            [],
        );
        Ok(self.engine.first(q).await?.is_some())
    }
}

impl Write {
    /// A new person.
    pub fn person_added(id: &PersonId, state: PersonState, role: Role, at: Time) -> Write {
        Write(Statement::one(
            "INSERT INTO person (id, version, state, role, created_at) VALUES ($1, 1, $2, $3, $4)",
            [
                id.as_str().into(),
                state.as_str().into(),
                role.as_str().into(),
                at.0.into(),
            ],
        ))
    }
    /// The name of a person; a login name exists once.
    pub fn name_given(id: &PersonId, name: &str, login: &str) -> Write {
        Write(Statement::one(
            "INSERT INTO name (person, name, login) VALUES ($1, $2, $3)",
            [id.as_str().into(), name.into(), login.into()],
        ))
    }
    /// The news about a person, from the version they were loaded with.
    pub fn person_signals(person: &Person, signals: &[Signal]) -> Write {
        Write(Statement::one(
            "UPDATE person SET signals = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [person.id.as_str().into(), person.version.into(), json(&signals).into()],
        ))
    }
    /// That word is another one, or none.
    pub fn user_code_set(person: &Person, kept: Option<&str>) -> Write {
        Write(Statement::one(
            "UPDATE person SET user_code = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [person.id.as_str().into(), person.version.into(), kept.map(str::to_owned).into()],
        ))
    }
    /// A person gets another role.
    pub fn person_role(person: &Person, role: Role) -> Write {
        Write(Statement::one(
            "UPDATE person SET role = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [person.id.as_str().into(), person.version.into(), role.as_str().into()],
        ))
    }
    /// Somebody vouches for a person: of two who do at the same moment, one is judged anew.
    pub fn person_vouched_for(person: &Person) -> Write {
        let sql = "UPDATE person SET version = version + 1 WHERE id = $1 AND version = $2";
        Write(Statement::one(sql, [person.id.as_str().into(), person.version.into()]))
    }
    /// A person's state goes on.
    pub fn person_moved(person: &Person, state: PersonState) -> Write {
        Write(Statement::one(
            "UPDATE person SET state = $3, version = version + 1 WHERE id = $1 AND version = $2",
            [
                person.id.as_str().into(),
                person.version.into(),
                state.as_str().into(),
            ],
        ))
    }
}
